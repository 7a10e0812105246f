#!/usr/bin/env bash
# Runs go test with the given arguments and prints its output. It also prints how many tests were skipped, and why, which
# go test does only with -v.
set -euo pipefail
cd "$(dirname "$0")/.."

go test "$@" -v | awk '
  /^ *=== / || /^ *--- PASS/ { next }
  /^skipped [0-9]+ tests: / { skipped[n++] = $0; next }
  { lines[m++] = $0 }
  /^(ok  |FAIL|[?]   )\t/ {
    from = /^FAIL/ ? 0 : m - 1
    for (i = from; i < m; i++) print lines[i]
    for (i = 0; i < n; i++) print "  \t" skipped[i]
    fflush()
    m = n = 0
  }
  END { for (i = 0; i < m; i++) print lines[i] }
'
