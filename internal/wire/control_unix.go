//go:build unix

package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/systems"
)

// ControlSize is room for every control message that a socket is ever asked
// for. The worst case is an IPv4 datagram on a dual-stack socket of Linux, with
// packet information of both families, TTL, TOS, a time stamp and a segment
// size: 176 bytes where a word, to which each is padded, has 64 bits.
const ControlSize = 256

// headerSize is CMSG_LEN(0) of cmsg(3).
var headerSize = unix.CmsgLen(0)

// align is CMSG_ALIGN of cmsg(3).
func align(n int) int { return unix.CmsgSpace(n) - unix.CmsgSpace(0) }

// AppendControl appends the control messages that make the kernel send with c.
// The family must be the destination's, IPv4 or not: the kernel ignores or
// refuses those of the other. b must have ControlSize of room.
func AppendControl(b []byte, c *Control, v4 bool, zones Zones) ([]byte, error) {
	if c.Local.IsValid() && c.Local.Unmap().Is4() != v4 {
		return nil, unix.EAFNOSUPPORT
	}
	switch {
	case c.Local.IsValid() && !systems.SendLocal.Here(v4),
		c.IfIndex != 0 && !c.Local.IsValid() && !systems.SendInterface.Here(v4),
		c.HopLimit != 0 && !systems.SendHopLimit.Here(v4),
		c.TrafficClass != 0 && !systems.SendTrafficClass.Here(v4):
		return nil, errors.ErrUnsupported
	case v4:
		return appendControl4(b, c), nil
	}
	if c.Local.IsValid() || c.IfIndex != 0 {
		const address = 16 // struct in6_pktinfo: the address, then the interface
		data := appendMessage(&b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, address+4)
		if c.Local.IsValid() {
			local := c.Local.As16()
			copy(data, local[:])
		}
		index := uint32(c.IfIndex)
		if zone := c.Local.Zone(); index == 0 && zone != "" {
			var err error
			if index, err = zones.Index(zone); err != nil {
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

func appendControl4(b []byte, c *Control) []byte {
	if c.Local.IsValid() || c.IfIndex != 0 {
		appendSource4(&b, c)
	}
	if c.HopLimit != 0 {
		binary.NativeEndian.PutUint32(appendMessage(&b, unix.IPPROTO_IP, unix.IP_TTL, 4), uint32(c.HopLimit))
	}
	if c.TrafficClass != 0 {
		data := appendMessage(&b, unix.IPPROTO_IP, unix.IP_TOS, sendTOSSize)
		if sendTOSSize == 1 {
			data[0] = c.TrafficClass
		} else {
			binary.NativeEndian.PutUint32(data, uint32(c.TrafficClass))
		}
	}
	return b
}

// appendMessage appends a control message of zeros to b, whose capacity must
// suffice, and returns where its data belongs.
func appendMessage(b *[]byte, level, kind int32, size int) []byte {
	start := len(*b)
	*b = (*b)[:start+unix.CmsgSpace(size)]
	m := (*b)[start:]
	clear(m)
	h := unix.Cmsghdr{Level: level, Type: kind}
	h.SetLen(unix.CmsgLen(size))
	copy(m, headerBytes(&h)) // b need not be aligned
	return m[headerSize : headerSize+size]
}

func headerBytes(h *unix.Cmsghdr) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(h)), unsafe.Sizeof(*h))
}

// nextMessage returns the first control message and what follows it. It fails at the end, and if the
// message is cut off.
func nextMessage(b []byte) (level, kind int32, data, rest []byte, ok bool) {
	if len(b) < headerSize {
		return 0, 0, nil, nil, false
	}
	var h unix.Cmsghdr
	copy(headerBytes(&h), b)
	if uint64(h.Len) < uint64(headerSize) || uint64(h.Len) > uint64(len(b)) {
		return 0, 0, nil, nil, false
	}
	data = b[headerSize:h.Len]
	next := min(headerSize+align(len(data)), len(b))
	return h.Level, h.Type, data, b[next:], true
}

// Parse reads the control messages of a received message. It ignores one that
// is cut off, or whose length is not that of its type.
func (a *Ancillary) Parse(b []byte, zones Zones) {
	for {
		level, kind, data, rest, ok := nextMessage(b)
		if !ok {
			return
		}
		a.parseMessage(level, kind, data, zones)
		b = rest
	}
}

func (a *Ancillary) parseMessage(level, kind int32, data []byte, zones Zones) {
	switch {
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) == unix.SizeofInet6Pktinfo:
		destination := netip.AddrFrom16([16]byte(data)).Unmap()
		index := binary.NativeEndian.Uint32(data[16:])
		a.Control.IfIndex = int(int32(index))
		if destination.Is6() && (destination.IsLinkLocalUnicast() || destination.IsLinkLocalMulticast()) {
			destination = destination.WithZone(zones.Name(index))
		}
		a.setDestination(destination)

	case level == unix.IPPROTO_IP && kind == ttlMessage && len(data) == ttlSize,
		level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT && len(data) == 4:
		a.Control.HopLimit = number(data)

	case level == unix.IPPROTO_IP && kind == tosMessage && len(data) == 1,
		// macOS may give it the length of its IPv4 counterpart (quinn-udp, src/unix.rs).
		level == unix.IPPROTO_IPV6 && kind == unix.IPV6_TCLASS && (len(data) == 4 || len(data) == 1):
		a.Control.TrafficClass = uint8(number(data))

	case level == unix.SOL_SOCKET && kind == timeMessage:
		a.Control.Time = decodeTime(data)

	case level == unix.SOL_SOCKET && kind == unix.SCM_RIGHTS:
		a.parseDescriptors(data)

	default:
		a.parseSystemMessage(level, kind, data)
	}
}

// setDestination sets the address that the datagram was sent to.
func (a *Ancillary) setDestination(addr netip.Addr) {
	a.Control.Local = addr
	a.Elsewhere = !IsUnicast(addr)
}

// parseDescriptors reads descriptors, whoever passed or asked for them.
func (a *Ancillary) parseDescriptors(data []byte) {
	for ; len(data) >= 4; data = data[4:] {
		a.Descriptors = append(a.Descriptors, int(int32(binary.NativeEndian.Uint32(data))))
	}
}

// number reads an int, or the byte that some systems send instead.
func number(data []byte) int {
	if len(data) == 1 {
		return int(data[0])
	}
	return int(int32(binary.NativeEndian.Uint32(data)))
}
