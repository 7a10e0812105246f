//go:build unix

package socket

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlSize is room for every control message that a socket is ever asked
// for: the worst case, an IPv4 datagram on a dual-stack socket of Linux with packet
// info of both families, TTL, TOS, a time stamp and a segment size, takes
// 208 bytes on 64-bit systems. Each kind is padded to the word.
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

// closeRights closes descriptors that came unasked: they would stay open for
// ever (unix(7), SCM_RIGHTS).
func closeRights(data []byte) {
	for ; len(data) >= 4; data = data[4:] {
		_ = closeDescriptor(int(int32(binary.NativeEndian.Uint32(data))))
	}
}

// closeDescriptor is a variable so that hostile control messages can be tested.
var closeDescriptor = unix.Close
