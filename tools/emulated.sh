#!/usr/bin/env bash
# Runs the tests as 386 (32 bits), which an amd64 machine does by itself, and as arm64 and s390x (big-endian) under
# qemu-user, there without the examples. Arguments go to go test. The lists below name the tests that an emulator
# cannot run, by what qemu-user 7.2 lacks; tests that cannot make their network skip by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
unset GOOS
export CGO_ENABLED=0
# A child of an emulated program may hang, as its copy of a lock in GLib's slice allocator is never released:
# https://gitlab.com/qemu-project/qemu/-/issues/285, fixed after QEMU 7.2.
export G_SLICE=always-malloc

unable=(
  # setsockopt: groups and multicast interfaces by index
  TestInterfaceKeepsTheSourceAddress Multicast TestConformance/.*/{Multicast,MembershipErrors} JoinGroup GroupErrors SourceGroup
  RefusedByTheSystem RefusedSettingIsNotRemembered TestOptionsAtTheirBounds/interface TestFaultTable$
  # setsockopt: SO_TIMESTAMPNS_NEW
  TestConformance/.*/{AllMetadata,ReceiveTime} TestMetadata{BothWays,AllocatesNothing,KindsAddUp}
  ExampleWithMetadata MaxAge TestFeatures TestCapabilitiesAskedFor TestOverflowIsCountedExactly TimeStamp
  # getsockopt: SO_MEMINFO, IP_MTU, UDP_GRO, SO_BINDTODEVICE
  TestDisconnectKeepsDevice
  TestConformance/.*/Drops TestStreamContent DropsToTheSystem TestPathMTU TestOpenLeavesFile
  # ioctl: SIOCETHTOOL
  TestDevicesWithoutOffloads
  # sockaddr_in6: the upper half of the scope
  TestZone
  # recvmsg: it keeps descriptors of SCM_RIGHTS that find no room
  TestUnixForeignDescriptors
  # execve of the test program, seccomp
  BatchCalls TestFaultTableBeneath
)
# The byte order of most control messages, and of netlink attributes, remains the machine's.
unable_big_endian=(
  "${unable[@]}"
  TestConformance/{all,no_coalescing,no_segmentation} TestConformanceWithFaults/system TestOffloadVariable/value_{$,nogro}
  TestConformance/.*/{ReceiveHopLimit,ReceiveTrafficClass,SendInterface}
  Metadata TestNetlink Interface TestNamespace
)

# emulate ARCHITECTURE EMULATOR OFFLOAD TESTS... runs all tests but TESTS.
emulate() {
  local arch=$1 emulator=$2 offload=$3 skip
  shift 3
  skip=$(IFS='|' && echo "$*")
  printf '%s but for %s\n' "$arch" "$skip"
  # What an emulator lacks, the machine has: skipping is no failure.
  env -u DATAGRAM_CI GOARCH="$arch" DATAGRAM_OFFLOAD="$offload" \
    go test -exec "$emulator" -skip "$skip" -timeout 5m "${flags[@]}" . ./datagramtest ./internal/...
}

flags=("$@")
if [[ $(go env GOHOSTARCH) == amd64 ]]; then
  echo 386
  GOARCH=386 go test "${flags[@]}" ./...
fi
emulate arm64 qemu-aarch64-static '' "${unable[@]}"
# It neither cuts nor merges: sizes of segments are control messages.
emulate s390x qemu-s390x-static batch "${unable_big_endian[@]}"
