#!/usr/bin/env bash
# Builds the module and vets it, tests included, for the given platforms (os/arch), by default for all that it supports.
set -euo pipefail
cd "$(dirname "$0")/.."
unset GOOS GOARCH

if (($# == 0)); then
  # shellcheck disable=SC2046 # one platform a word
  set -- $(go tool dist list | grep -E '^(linux|darwin|freebsd|netbsd|openbsd|windows)/(amd64|arm64|386|s390x)$')
fi

failed=()
for platform; do
  echo "$platform"
  export GOOS=${platform%/*} GOARCH=${platform#*/}
  go build ./... && go vet ./... || failed+=("$platform")
done
if ((${#failed[@]})); then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
