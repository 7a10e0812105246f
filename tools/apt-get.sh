#!/usr/bin/env bash
# Runs apt-get with the given arguments, and retries for up to ten minutes while another apt-get holds a lock. By itself
# apt-get can wait for dpkg's lock (DPkg::Lock::Timeout), but not for those of its lists and archives (apt 2.6).
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for ((tries = 120; tries > 0; tries--)); do
  apt-get "$@" 2>&1 | tee "$log" && exit
  grep -q '^E: Could not get lock' "$log" || exit 1
  sleep 5
done
exit 1
