//go:build unix

package socket

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlSize is room for every control message that a socket is ever asked
// for: the worst case, an IPv4 datagram on a dual-stack socket of Linux with
// packet info of both families, TTL, TOS, a time stamp and a segment size,
// takes 176 bytes on 64-bit systems. Each kind is padded to the word.
const controlSize = 256

// headerSize is CMSG_LEN(0) of cmsg(3).
var headerSize = unix.CmsgLen(0)

// appendControl appends the control messages that d asks for.
func (h *handle) appendControl(b []byte, d *Outgoing) ([]byte, error) {
	if h.family == Other {
		return nil, errors.ErrUnsupported
	}
	c, v4 := *d.Control, h.sendsIPv4(d.Addr)
	if v4 && interface4 && c.IfIndex != 0 && !c.Local.IsValid() {
		c.Local = h.source // which packet information that names none would override
	}
	return appendControl(b, &c, v4, &h.zones)
}

// appendControl appends the control messages that make the kernel send with c.
// The destination's family decides: the kernel ignores a control message of
// another family, or refuses it.
func appendControl(b []byte, c *Control, v4 bool, z *zones) (_ []byte, err error) {
	if c.Local.IsValid() && c.Local.Unmap().Is4() != v4 {
		return nil, unix.EAFNOSUPPORT
	}
	if v4 {
		return appendControl4(b, c)
	}
	if c.Local.IsValid() || c.IfIndex != 0 {
		const address = 16 // struct in6_pktinfo: the address, then the interface
		data := appendMessage(&b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, address+4)
		if c.Local.IsValid() {
			local := c.Local.As16()
			copy(data, local[:])
		}
		index := uint32(c.IfIndex)
		if index == 0 && c.Local.Zone() != "" {
			if index, err = z.index(c.Local.Zone()); err != nil {
				return nil, err
			}
		}
		binary.NativeEndian.PutUint32(data[address:], index)
	}
	if c.HopLimit != 0 {
		binary.NativeEndian.PutUint32(appendMessage(&b, unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, 4), uint32(c.HopLimit))
	}
	if c.TrafficClass != 0 {
		binary.NativeEndian.PutUint32(appendMessage(&b, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4), uint32(c.TrafficClass))
	}
	return b, nil
}

func appendControl4(b []byte, c *Control) ([]byte, error) {
	if c.Local.IsValid() || c.IfIndex != 0 {
		if err := appendSource4(&b, c); err != nil {
			return nil, err
		}
	}
	if c.HopLimit != 0 {
		if sendTTL == 0 {
			return nil, errors.ErrUnsupported
		}
		binary.NativeEndian.PutUint32(appendMessage(&b, unix.IPPROTO_IP, sendTTL, 4), uint32(c.HopLimit))
	}
	if c.TrafficClass != 0 {
		switch data := appendMessage(&b, unix.IPPROTO_IP, unix.IP_TOS, sendTOSSize); len(data) {
		case 4:
			binary.NativeEndian.PutUint32(data, uint32(c.TrafficClass))
		case 1:
			data[0] = c.TrafficClass
		default:
			return nil, errors.ErrUnsupported
		}
	}
	return b, nil
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

// broadcast is the broadcast address of every network. That of a particular
// one looks like any other address.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func parseControlMessage(level, kind int32, data []byte, m *Incoming, z *zones) {
	switch {
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) == unix.SizeofInet6Pktinfo:
		destination := netip.AddrFrom16([16]byte(data))
		index := binary.NativeEndian.Uint32(data[16:])
		m.Control.IfIndex = int(int32(index))
		if destination.Is4In6() {
			destination = destination.Unmap()
		} else if destination.IsLinkLocalUnicast() || destination.IsLinkLocalMulticast() {
			destination = destination.WithZone(z.name(index))
		}
		m.setDestination(destination)

	case level == unix.IPPROTO_IP && kind == ttlMessage && len(data) == ttlSize,
		level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT && len(data) == 4:
		m.Control.HopLimit = number(data)

	case level == unix.IPPROTO_IP && kind == tosMessage && len(data) == 1,
		// macOS may give it the length of its IPv4 counterpart (quinn-udp, src/unix.rs).
		level == unix.IPPROTO_IPV6 && kind == unix.IPV6_TCLASS && (len(data) == 4 || len(data) == 1):
		m.Control.TrafficClass = uint8(number(data))

	case level == unix.SOL_SOCKET && kind == timeMessage:
		m.Control.Time = decodeTime(data)

	case level == unix.SOL_SOCKET && kind == unix.SCM_RIGHTS:
		closeRights(data)

	default:
		parseSystemMessage(level, kind, data, m)
	}
}

// setDestination sets the address that the datagram was sent to.
func (m *Incoming) setDestination(addr netip.Addr) {
	m.Control.Local = addr
	m.Elsewhere = addr.IsMulticast() || addr == broadcast
}

// number reads an int, or a byte where the system is sparing.
func number(data []byte) int {
	if len(data) == 1 {
		return int(data[0])
	}
	return int(int32(binary.NativeEndian.Uint32(data)))
}
