package socket

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Membership joins or leaves a group.
func (h *handle) Membership(m Membership) error {
	if h.family == Other {
		return errors.ErrUnsupported
	}
	if zone := m.Group.Zone(); zone != "" && m.Interface == nil {
		index, err := h.zones.index(zone)
		if err != nil {
			return err
		}
		m.Interface = &net.Interface{Index: int(index), Name: zone}
	}
	group, source := udpAddr(m.Group), udpAddr(m.Source)
	var c interface {
		JoinGroup(*net.Interface, net.Addr) error
		LeaveGroup(*net.Interface, net.Addr) error
		JoinSourceSpecificGroup(*net.Interface, net.Addr, net.Addr) error
		LeaveSourceSpecificGroup(*net.Interface, net.Addr, net.Addr) error
	}
	if m.Group.Is4() {
		c = ipv4.NewPacketConn(packetConn{rawConn: h.raw})
	} else {
		c = ipv6.NewPacketConn(packetConn{rawConn: h.raw})
	}
	var err error
	switch any := !m.Source.IsValid(); {
	case any && m.Leave:
		err = c.LeaveGroup(m.Interface, group)
	case any:
		err = c.JoinGroup(m.Interface, group)
	case m.Leave:
		err = c.LeaveSourceSpecificGroup(m.Interface, group, source)
	default:
		err = c.JoinSourceSpecificGroup(m.Interface, group, source)
	}
	if errors.Is(err, syscall.EINVAL) && m.Group.Is4() && h.family == Dual && !ipv4OnDual {
		return errors.Join(err, errNotIPv4)
	}
	return unsupported(err)
}

func udpAddr(addr netip.Addr) net.Addr {
	return &net.UDPAddr{IP: addr.AsSlice()}
}

// packetConn is what golang.org/x/net needs to see of a socket to set its
// options: a net.PacketConn and net.Conn that has a raw connection and looks
// like UDP.
type packetConn struct {
	net.PacketConn
	rawConn syscall.RawConn
}

func (c packetConn) SyscallConn() (syscall.RawConn, error) { return c.rawConn, nil }

func (packetConn) RemoteAddr() net.Addr      { return nil }
func (packetConn) Read([]byte) (int, error)  { return 0, errors.ErrUnsupported }
func (packetConn) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (packetConn) ReadMsgUDP([]byte, []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	return 0, 0, 0, nil, errors.ErrUnsupported
}
