#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each, one after the other: go test takes one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

# A package's targets are listed before its "ok" line.
go test -list '^Fuzz' ./... |
  awk '/^Fuzz/ { targets[n++] = $1 } /^ok/ { for (i = 0; i < n; i++) print $2, targets[i]; n = 0 }' |
  while read -r package target; do
    echo "$package $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-10s}" "$package" </dev/null
  done
