#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, one after the other, since go test runs one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
output=$(mktemp)
trap 'rm -f "$output"' EXIT

# fuzz PACKAGE TARGET
fuzz() {
  go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" </dev/null 2>&1 | tee "$output" && return
  # Before Go 1.27 a target may also fail because its time is over, https://go.dev/issue/75804. Output names a failing
  # input, new or old.
  grep -qx ' *context deadline exceeded' "$output" && ! grep -q 'Failing input written\|seed corpus entry' "$output" &&
    echo "$2: no input failed"
}

# A package's targets are listed before its "ok" line.
go test -list '^Fuzz' ./... |
  awk '/^Fuzz/ { targets[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, targets[i]; n = 0 }' |
  while read -r package target; do
    echo "$package $target"
    fuzz "$package" "$target"
  done
