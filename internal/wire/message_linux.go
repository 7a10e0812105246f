package wire

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Control messages as programs exchange them with recvmsg and sendmsg, for those that want to see
// them.

// KnowsMessages says that AppendMessages and ParseRequest know the system's layout.
const KnowsMessages = true

// WaitForOne is the flag with which recvmmsg waits for the first message only.
const WaitForOne = unix.MSG_WAITFORONE

// AppendMessages appends what the kernel would say beside a datagram of the given family: packet
// information if c has it, then the traffic class. elsewhere says that Local is none to send from.
// It appends whole messages only, as far as b has room, and reports whether it has for all.
func AppendMessages(b []byte, c *Control, v4, elsewhere bool) ([]byte, bool) {
	if c.Local.IsValid() {
		var fits bool
		if b, fits = appendPacketInfo(b, c, v4, elsewhere); !fits {
			return b, false
		}
	}
	switch {
	case v4 && hasRoom(b, 1):
		appendMessage(&b, unix.IPPROTO_IP, unix.IP_TOS, 1)[0] = c.TrafficClass
	case !v4 && hasRoom(b, 4):
		binary.NativeEndian.PutUint32(appendMessage(&b, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4), uint32(c.TrafficClass))
	default:
		return b, false
	}
	return b, true
}

func appendPacketInfo(b []byte, c *Control, v4, elsewhere bool) ([]byte, bool) {
	switch {
	case v4 && hasRoom(b, unix.SizeofInet4Pktinfo):
		data := appendMessage(&b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		binary.NativeEndian.PutUint32(data, uint32(c.IfIndex))
		local := c.Local.Unmap().As4()
		if !elsewhere {
			copy(data[4:], local[:])
		}
		copy(data[8:], local[:])
	case !v4 && hasRoom(b, unix.SizeofInet6Pktinfo):
		data := appendMessage(&b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		local := c.Local.As16()
		copy(data, local[:])
		binary.NativeEndian.PutUint32(data[16:], uint32(c.IfIndex))
	default:
		return b, false
	}
	return b, true
}

// hasRoom reports whether b has room for a message of n bytes.
func hasRoom(b []byte, n int) bool { return unix.CmsgSpace(n) <= cap(b)-len(b) }

// ParseRequest reads the control messages with which a program wants to send: packet information,
// the traffic class and the size of segments. Anything else, and anything that sendmsg would refuse,
// is EINVAL.
func ParseRequest(b []byte) (c Control, segment int, err error) {
	for len(b) > 0 {
		level, kind, data, rest, ok := nextMessage(b)
		if !ok || !parseRequest(&c, &segment, level, kind, data) {
			return Control{}, 0, unix.EINVAL
		}
		b = rest
	}
	return c, segment, nil
}

func parseRequest(c *Control, segment *int, level, kind int32, data []byte) bool {
	switch {
	case level == unix.SOL_UDP && kind == unix.UDP_SEGMENT && len(data) == 2:
		*segment = int(binary.NativeEndian.Uint16(data))
	case level == unix.IPPROTO_IP && kind == unix.IP_TOS && (len(data) == 1 || len(data) == 4),
		level == unix.IPPROTO_IPV6 && kind == unix.IPV6_TCLASS && len(data) == 4:
		class := number(data)
		c.TrafficClass = uint8(class)
		return class == int(c.TrafficClass)
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) == unix.SizeofInet4Pktinfo:
		c.setSource(netip.AddrFrom4([4]byte(data[4:8])), data[:4]) // ipi_spec_dst; ip(7)
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) == unix.SizeofInet6Pktinfo:
		c.setSource(netip.AddrFrom16([16]byte(data)).Unmap(), data[16:])
	default:
		return false
	}
	return true
}

// setSource sets the address and the interface to send from, each of which may be left open.
func (c *Control) setSource(addr netip.Addr, index []byte) {
	c.Local = netip.Addr{}
	if !addr.IsUnspecified() {
		c.Local = addr
	}
	c.IfIndex = number(index)
}
