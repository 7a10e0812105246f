#!/usr/bin/env bash
# Runs the tests as 386 (32 bits), which an amd64 machine does by itself, and as arm64 and s390x (big-endian) under
# qemu-user: those of PACKAGES if that is set, else all but, emulated, datagramtest and the examples. Arguments go to
# go test. The lists below name the tests that an emulator cannot run, by what qemu-user 7.2 lacks; tests that cannot
# make their network skip by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
unset GOOS DATAGRAM_CI # what an emulator lacks, the machine has
export CGO_ENABLED=0

unable=(
  # setsockopt: groups and multicast interfaces by index
  Multicast TestConformance/.*/{Multicast,MembershipErrors} JoinGroup GroupErrors SourceGroup
  RefusedByTheSystem RefusedSetting TestOptionsAtTheirBounds/interface
  # setsockopt: SO_TIMESTAMPNS_NEW
  TestConformance/.*/{AllMetadata,ReceiveTime} Metadata MaxAge TestFeatures TestCapabilitiesAskedFor TestOverflowIsCountedExactly TimeStamp
  # getsockopt: SO_MEMINFO, IP_MTU, UDP_GRO
  TestConformance/.*/Drops TestStreamContent DropsToTheSystem TestPathMTU TestOpenLeavesFile
  # ioctl: SIOCETHTOOL
  TestDevicesWithoutOffloads
  # sockaddr_in6: the upper half of the scope
  TestZone
  # recvmsg: it keeps descriptors of SCM_RIGHTS that find no room
  TestUnixForeignDescriptors
  # execve of the test program
  BatchCalls
)
# The byte order of most control messages, and of netlink attributes, remains the machine's.
unable_big_endian=(
  "${unable[@]}"
  TestConformance/{all,no_coalescing,no_segmentation} TestOffloadVariable/value_{$,nogro}
  TestConformance/.*/{ReceiveHopLimit,ReceiveTrafficClass,SendInterface}
  TestNetlink Interface TestNamespace
)

# emulate ARCHITECTURE EMULATOR OFFLOAD TESTS... runs all tests but TESTS.
emulate() {
  local arch=$1 emulator=$2 offload=$3 skip
  shift 3
  skip=$(IFS='|' && echo "$*")
  printf '%s but for %s\n' "$arch" "$skip"
  GOARCH=$arch DATAGRAM_OFFLOAD=$offload go test -exec "$emulator" -skip "$skip" -timeout 5m "${flags[@]}" ${PACKAGES:-. ./internal/...}
}

flags=("$@")
if [[ $(go env GOHOSTARCH) == amd64 ]]; then
  echo 386
  GOARCH=386 go test "${flags[@]}" ${PACKAGES:-./...}
fi
emulate arm64 qemu-aarch64-static '' "${unable[@]}"
# It neither cuts nor merges: sizes of segments are control messages.
emulate s390x qemu-s390x-static batch "${unable_big_endian[@]}"
