package socket

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlSize is room for every control message that a socket is ever asked
// for: the worst case, an IPv4 datagram on a dual-stack socket with packet
// info of both families, TTL, TOS, a time stamp and a segment size, takes
// 208 bytes on 64-bit systems. Each kind is padded to the word.
const controlSize = 256

// headerSize and align are CMSG_LEN(0) and CMSG_ALIGN of cmsg(3).
var headerSize = unix.CmsgLen(0)

func align(n int) int { return unix.CmsgSpace(n) - unix.CmsgSpace(0) }

// parseControl reads the control messages of a received message. A message
// that is cut off, or whose length is not the one of its type, is ignored.
func parseControl(b []byte, m *Incoming) {
	for len(b) >= headerSize {
		h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
		if uint64(h.Len) < uint64(headerSize) || uint64(h.Len) > uint64(len(b)) {
			return
		}
		data := b[headerSize:h.Len]
		parseControlMessage(h.Level, h.Type, data, m)
		next := headerSize + align(len(data))
		if next >= len(b) {
			return
		}
		b = b[next:]
	}
}

func parseControlMessage(level, kind int32, data []byte, m *Incoming) {
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
			destination = destination.WithZone(zones.name(index))
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

	case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS_NEW && len(data) == 16:
		// The variant with 64 bits a field on every architecture (Linux 5.1).
		m.Control.Time = time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))

	case level == unix.SOL_SOCKET && kind == unix.SCM_RIGHTS:
		// unix(7): descriptors that came unasked would stay open for ever.
		for ; len(data) >= 4; data = data[4:] {
			_ = unix.Close(int(int32(binary.NativeEndian.Uint32(data))))
		}
	}
}

// appendControl appends the control messages that make the kernel send with c.
// The destination's family decides: the kernel ignores a control message of
// another family, or refuses it.
func appendControl(b []byte, c *Control, v4 bool) []byte {
	if c.Local.IsValid() || c.IfIndex != 0 {
		if v4 {
			data := appendMessage(&b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
			binary.NativeEndian.PutUint32(data, uint32(c.IfIndex))
			if c.Local.Unmap().Is4() {
				local := c.Local.Unmap().As4()
				copy(data[4:], local[:]) // ipi_spec_dst; ipi_addr is ignored
			}
		} else {
			data := appendMessage(&b, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
			if c.Local.IsValid() {
				local := c.Local.As16()
				copy(data, local[:])
			}
			index := uint32(c.IfIndex)
			if index == 0 && c.Local.Zone() != "" {
				index = zones.index(c.Local.Zone())
			}
			binary.NativeEndian.PutUint32(data[16:], index)
		}
	}
	if c.HopLimit != 0 {
		level, kind := int32(unix.SOL_IPV6), int32(unix.IPV6_HOPLIMIT)
		if v4 {
			level, kind = unix.SOL_IP, unix.IP_TTL
		}
		binary.NativeEndian.PutUint32(appendMessage(&b, level, kind, 4), uint32(c.HopLimit))
	}
	if c.TrafficClass != 0 {
		level, kind := int32(unix.SOL_IPV6), int32(unix.IPV6_TCLASS)
		if v4 {
			level, kind = unix.SOL_IP, unix.IP_TOS
		}
		binary.NativeEndian.PutUint32(appendMessage(&b, level, kind, 4), uint32(c.TrafficClass))
	}
	return b
}

// appendSegmentSize asks for segmentation offload. The kernel insists on a
// length of exactly two bytes.
func appendSegmentSize(b []byte, size int) []byte {
	binary.NativeEndian.PutUint16(appendMessage(&b, unix.SOL_UDP, unix.UDP_SEGMENT, 2), uint16(size))
	return b
}

// appendMessage appends a control message of zeros to b, whose capacity must
// suffice, and returns where its data belongs.
func appendMessage(b *[]byte, level, kind int32, size int) []byte {
	start := len(*b)
	*b = (*b)[:start+unix.CmsgSpace(size)]
	m := (*b)[start:]
	clear(m)
	h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(m)))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	return m[headerSize : headerSize+size]
}
