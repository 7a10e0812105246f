#!/usr/bin/env bash
# Gives a copy of the module another path, with make rename, and checks that it is formatted, builds, passes vet and
# imports only what it may.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
name=$(go list -m)

git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy" --
mkdir "$copy/bin"
cp "$bin/gofumpt" "$copy/bin" # saves building it again
cd "$copy"
make rename NEW=github.com/someone/udp.go
if grep -rn --exclude-dir=bin "$name"; then
  echo "these name $name still" >&2
  exit 1
fi
[[ -z $("$bin/gofumpt" -l .) ]]
go build ./...
go vet ./...
for module in $(find . -mindepth 2 -name go.mod -not -path './tools/lint/*' -printf '%h '); do go -C "$module" vet ./...; done
"$bin/golangci-lint" run --enable-only depguard ./...
