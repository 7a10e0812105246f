package socket

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// align is CMSG_ALIGN of cmsg(3).
func align(n int) int { return unix.CmsgSpace(n) - unix.CmsgSpace(0) }

// parseControl reads the control messages of a received message. A message
// that is cut off, or whose length is not the one of its type, is ignored.
func parseControl(b []byte, m *Incoming, z *zones) {
	for len(b) >= headerSize {
		h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
		if uint64(h.Len) < uint64(headerSize) || uint64(h.Len) > uint64(len(b)) {
			return
		}
		data := b[headerSize:h.Len]
		parseControlMessage(h.Level, h.Type, data, m, z)
		next := headerSize + align(len(data))
		if next >= len(b) {
			return
		}
		b = b[next:]
	}
}

func parseControlMessage(level, kind int32, data []byte, m *Incoming, z *zones) {
	switch {
	case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) == 4:
		m.SegmentSize = int(int32(binary.NativeEndian.Uint32(data)))

	case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) == unix.SizeofInet4Pktinfo:
		// On a dual-stack socket this follows IPV6_PKTINFO with the same
		// address mapped, and has more to say.
		m.Control.IfIndex = int(int32(binary.NativeEndian.Uint32(data)))
		usable, destination := netip.AddrFrom4([4]byte(data[4:])), netip.AddrFrom4([4]byte(data[8:]))
		m.Control.Local = destination
		// ip(7): ipi_spec_dst is a local address to answer from. It differs
		// from the destination if that is a broadcast or multicast address.
		m.Elsewhere = usable != destination

	case level == unix.SOL_IPV6 && kind == unix.IPV6_PKTINFO && len(data) == unix.SizeofInet6Pktinfo:
		destination := netip.AddrFrom16([16]byte(data))
		index := binary.NativeEndian.Uint32(data[16:])
		m.Control.IfIndex = int(int32(index))
		if destination.Is4In6() {
			destination = destination.Unmap()
		} else if destination.IsLinkLocalUnicast() || destination.IsLinkLocalMulticast() {
			destination = destination.WithZone(z.name(index))
		}
		m.Control.Local = destination
		m.Elsewhere = destination.IsMulticast()

	case level == unix.SOL_IP && kind == unix.IP_TTL && len(data) == 4,
		level == unix.SOL_IPV6 && kind == unix.IPV6_HOPLIMIT && len(data) == 4:
		m.Control.HopLimit = int(int32(binary.NativeEndian.Uint32(data)))

	case level == unix.SOL_IP && kind == unix.IP_TOS && len(data) == 1:
		m.Control.TrafficClass = data[0]

	case level == unix.SOL_IPV6 && kind == unix.IPV6_TCLASS && len(data) == 4:
		m.Control.TrafficClass = uint8(binary.NativeEndian.Uint32(data))

	case level == unix.SOL_SOCKET && kind == timeMessage:
		m.Control.Time = decodeTime(data)

	case level == unix.SOL_SOCKET && kind == unix.SCM_RIGHTS:
		closeRights(data)
	}
}

// appendSegmentSize asks for segmentation offload. The kernel insists on a
// length of exactly two bytes.
func appendSegmentSize(b []byte, size int) []byte {
	binary.NativeEndian.PutUint16(appendMessage(&b, unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(size))
	return b
}
