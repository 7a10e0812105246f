#!/usr/bin/env bash
# Runs golangci-lint for the given systems: on all packages for the first, and for each other one on those with files
# that no earlier system has.
set -euo pipefail
cd "$(dirname "$0")/.."
unset GOOS GOARCH

format='{{$d := .Dir}}{{range .GoFiles}}{{$d}} {{.}}
{{end}}{{range .TestGoFiles}}{{$d}} {{.}}
{{end}}{{range .XTestGoFiles}}{{$d}} {{.}}
{{end}}'
seen=
for os; do
  files=$(GOOS=$os go list -f "$format" ./... | sort)
  mapfile -t packages < <(comm -13 <(echo "$seen") <(echo "$files") | cut -d ' ' -f 1 | uniq)
  [[ $seen ]] || packages=(./...)
  seen=$(sort -mu <(echo "$seen") <(echo "$files"))
  ((${#packages[@]})) || continue
  echo "golangci-lint for $os: ${packages[*]#"$PWD"/}"
  GOOS=$os bin/golangci-lint run "${packages[@]}"
done
