package socket

import (
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"example.com/datagram/internal/systems"
)

// Membership joins or leaves a multicast group.
func (k *kernelSocket) Membership(m Membership) error {
	if k.family == Other {
		return errors.ErrUnsupported
	}
	if zone := m.Group.Zone(); zone != "" && m.Interface == nil {
		k.zones.forget(zone)
		index, err := k.zones.Index(zone)
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
		c = ipv4.NewPacketConn(packetConn{rawConn: k.raw})
	} else {
		c = ipv6.NewPacketConn(packetConn{rawConn: k.raw})
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
	if errors.Is(err, syscall.EINVAL) && m.Group.Is4() && k.family == Dual && !systems.OptionsOfIPv4.Here() {
		return errors.Join(err, errNotIPv4)
	}
	return unsupported(err)
}

func udpAddr(addr netip.Addr) net.Addr {
	return &net.UDPAddr{IP: addr.AsSlice()}
}
