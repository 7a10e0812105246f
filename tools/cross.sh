#!/usr/bin/env bash
# Builds and vets the module, tests included, for the given platforms (os/arch), and with NESTED=1 the modules below it. By
# default it does so for each supported system on amd64, and type-checks the module for the other processors.
set -euo pipefail
cd "$(dirname "$0")/.."
unset GOOS GOARCH

others=()
if (($# == 0)); then
  supported=$(go tool dist list | grep -E '^(linux|darwin|freebsd|netbsd|openbsd|windows)/(amd64|arm64|386|s390x)$')
  mapfile -t others < <(grep -v '/amd64$' <<<"$supported")
  # shellcheck disable=SC2046 # one platform per word
  set -- $(grep '/amd64$' <<<"$supported")
fi

modules=(.)
if [[ ${NESTED:-} ]]; then
  mapfile -t modules < <(find . -name go.mod -not -path './tools/*' -not -path './bench/*' -printf '%h\n' | sort)
fi
failed=()
for platform; do
  echo "$platform"
  export GOOS=${platform%/*} GOARCH=${platform#*/}
  for module in "${modules[@]}"; do
    go -C "$module" build -o /dev/null ./... && go -C "$module" vet ./... || failed+=("$platform $module")
  done
done
unset GOOS GOARCH
if ((${#others[@]})); then
  go -C tools run ./typecheck "${others[@]}" || failed+=("types")
fi
if ((${#failed[@]})); then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
