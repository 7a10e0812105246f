package wire

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ttlMessage  = unix.IP_TTL
	ttlSize     = 4
	tosMessage  = unix.IP_TOS
	sendTOSSize = 4

	// Both have the same layout where a word has 64 bits, and the new one is
	// younger than some kernels (Linux 5.1).
	timeMessage = words64*unix.SCM_TIMESTAMPNS + (1-words64)*unix.SO_TIMESTAMPNS_NEW

	words64 = bits.UintSize / 64 // 1 where a word has 64 bits, else 0
)

// parseSystemMessage reads what only this system sends, or fills in like this.
func (a *Ancillary) parseSystemMessage(level, kind int32, data []byte) {
	switch {
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) == 4:
		a.SegmentSize = number(data)

	case level == unix.SOL_SOCKET && kind == unix.SCM_PIDFD:
		// It comes with each datagram if any holder of the socket has set
		// SO_PASSPIDFD (Linux 6.5, scm_pidfd_recv). A negative number is an
		// error instead of a descriptor.
		a.parseDescriptors(data)

	case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) == unix.SizeofInet4Pktinfo:
		// On a dual-stack socket this follows IPV6_PKTINFO, which has the same
		// address mapped and says less.
		a.Control.IfIndex = number(data[:4])
		source, destination := netip.AddrFrom4([4]byte(data[4:])), netip.AddrFrom4([4]byte(data[8:]))
		a.setDestination(destination)
		// ipi_spec_dst is the local address to answer from (ip(7)). It differs
		// from a broadcast or multicast destination. It is missing from what was
		// queued before somebody asked for packet information
		// (ipv4_pktinfo_prepare), as before Open.
		if source.IsUnspecified() {
			a.Unverified = !a.Elsewhere
		} else {
			a.Elsewhere = source != destination
		}
	}
}

// AppendSegmentSize asks for segmentation offload. The kernel insists on two
// bytes, where UDP_GRO has four.
func AppendSegmentSize(b []byte, size int) []byte {
	binary.NativeEndian.PutUint16(appendMessage(&b, unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(size))
	return b
}

// decodeTime reads two fields of 64 bits, on every architecture.
func decodeTime(data []byte) time.Time {
	if len(data) != 16 {
		return time.Time{}
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}
