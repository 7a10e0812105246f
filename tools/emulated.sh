#!/usr/bin/env bash
# Runs the tests as 386 (32 bits), arm64 and s390x (big-endian) under qemu-user, without the examples and without
# internal/systemtest: much of what that needs of the kernel, emulators lack. If the kernel runs 32-bit programs, 386 runs
# natively, and everything, unless EMULATE_386=1. Arguments are passed to go test. The lists below contain the other tests
# that an emulator cannot run, by what qemu-user 7.2 lacks. Tests that cannot create their network skip by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
unset GOOS
export CGO_ENABLED=0
# A child of an emulated program may hang, since its copy of a lock in GLib's slice allocator is never released:
# https://gitlab.com/qemu-project/qemu/-/issues/285, fixed after QEMU 7.2.
export G_SLICE=always-malloc

unable=(
  # setsockopt: groups and multicast interfaces by index
  Multicast JoinGroup GroupErrors SourceGroup Conform/.*/{Multicast,MembershipErrors}
  RefusedByTheSystem RefusedSettingIsNotRemembered TestOptionsAtTheirBounds/interface TestFaultTable$ TestSystems GroupMembership
  # setsockopt: SO_ATTACH_REUSEPORT_CBPF
  Steering
  # sendmsg: MSG_PROBE
  TestKernelGroupDeliversBroadcastOnce
  # setsockopt: SO_TIMESTAMPNS_NEW
  Conform/.*/{AllMetadata,ReceiveTime} TestMetadataKindsAddUp ExampleWithMetadata MaxAge TestFeatures
  # getsockopt: SO_MEMINFO, IP_MTU, UDP_GRO, SO_BINDTODEVICE
  TestDisconnectKeepsDevice Conform/.*/Drops TestStreamContent DropsToTheSystem TestPathMTU TestWarnings
  # sockaddr_in6: the upper half of the scope
  TestZone
  # execve of the test program, seccomp
  TestFaultTableBeneath TestNettest TestEditsAreTested
  # nothing: long simulations that depend little on the processor
  TestMillion TestHour
)
unable_386=(
  "${unable[@]}"
  # recvmsg: the offender's address in the error queue
  '(Test|Example)[^/]*NetworkError' TestLibuvUnreachableReported
)
# Most control messages and netlink attributes stay in the machine's byte order.
unable_big_endian=(
  "${unable[@]}"
  Conform/{all,no_coalescing,no_segmentation} TestConformanceWithFaults/system
  Conform/.*/{ReceiveHopLimit,ReceiveTrafficClass,SendInterface}
  Metadata TestNetlink Interface TestNamespace ControlMessages ExplicitPacketInfo TruncatedMessages WriteMsgSegments TestGateLosesNoWakeUp TestBusySocketIsNotPolled
)

# emulate ARCHITECTURE EMULATOR OFFLOAD TESTS... runs all tests except TESTS.
emulate() {
  local arch=$1 emulator=$2 offload=$3 skip
  shift 3
  skip=$(IFS='|' && echo "$*")
  printf '%s but for %s\n' "$arch" "$skip"
  # The emulator lacks what the machine has, so a skip is not a failure.
  env -u DATAGRAM_CI GOARCH="$arch" DATAGRAM_OFFLOAD="$offload" \
    go test -exec "$emulator" -skip "$skip" -timeout 5m "${flags[@]}" "${packages[@]}"
}

# runs_386 fails, and prints why, if the kernel runs no 32-bit programs (CONFIG_IA32_EMULATION, ia32_emulation=0).
runs_386() {
  [[ ${EMULATE_386-} != 1 ]] || return
  local dir status
  dir=$(mktemp -d)
  echo 'package main; func main() {}' >"$dir/main.go"
  GOARCH=386 go run "$dir/main.go" && status=0 || status=$?
  rm -r "$dir"
  return "$status"
}

flags=("$@")
mapfile -t packages < <(go list . ./datagramtest ./internal/... | grep -v /systemtest$)
if runs_386; then
  echo 386
  GOARCH=386 go test "${flags[@]}" ./...
else
  # Preemption by signals crashes Go programs under qemu-i386 7.2, and so do threads in their own namespaces ("bad g in
  # signal handler", "morestack on g0"). Without capabilities, root creates none.
  emulator='env GODEBUG=asyncpreemptoff=1 qemu-i386-static'
  ((EUID != 0)) || emulator="setpriv --bounding-set=-all --inh-caps=-all $emulator"
  emulate 386 "$emulator" '' "${unable_386[@]}"
fi
emulate arm64 qemu-aarch64-static '' "${unable[@]}"
# Without segmentation and coalescing, since segment sizes are control messages.
emulate s390x qemu-s390x-static batch "${unable_big_endian[@]}"
