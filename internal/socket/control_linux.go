package socket

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// parseSystemMessage reads a control message that other systems have not.
func parseSystemMessage(level, kind int32, data []byte, m *Incoming) {
	switch {
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) == 4:
		m.SegmentSize = number(data)

	case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) == unix.SizeofInet4Pktinfo:
		// On a dual-stack socket this follows IPV6_PKTINFO with the same
		// address mapped, and has more to say.
		m.Control.IfIndex = number(data[:4])
		usable, destination := netip.AddrFrom4([4]byte(data[4:])), netip.AddrFrom4([4]byte(data[8:]))
		m.Control.Local = destination
		// ip(7): ipi_spec_dst is a local address to answer from. It differs
		// from the destination if that is a broadcast or multicast address.
		m.Elsewhere = usable != destination
	}
}

// appendSegmentSize asks for segmentation offload. The kernel insists on a
// length of exactly two bytes.
func appendSegmentSize(b []byte, size int) []byte {
	binary.NativeEndian.PutUint16(appendMessage(&b, unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(size))
	return b
}
