package datagram

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"example.com/datagram/internal/socket"
)

// JoinGroup makes the handle receive what is sent to a multicast group and
// arrives at an interface; nil means that of the group's zone, or else leaves
// the choice to the system. A handle without a socket is bound first, to the
// wildcard address of the group's family. Only groups that this handle has
// joined are received. Linux does not tell the interfaces of an IPv6 group
// apart: a handle that has joined it on one also hears what comes in on another
// where somebody else has joined it; [Metadata].IfIndex tells.
//
// The membership ends with LeaveGroup and with Close. It survives the interface
// being down, but not its removal: an interface that comes in its place, even
// under the same name, has to be joined again, after LeaveGroup with the old
// one.
//
// A group that is not a multicast address is EINVAL, joining again EADDRINUSE,
// an interface that does not exist ENODEV. Linux limits the groups of a socket
// (net.ipv4.igmp_max_memberships, 20) with ENOBUFS. libuv calls it
// uv_udp_set_membership.
func (c *Conn) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	return c.membership("join", socket.Membership{Group: group, Interface: ifi}, true)
}

// LeaveGroup ends a membership. One that is not there is EADDRNOTAVAIL.
func (c *Conn) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	return c.membership("leave", socket.Membership{Group: group, Interface: ifi, Leave: true}, true)
}

// JoinSourceGroup is JoinGroup for what one source sends to the group (RFC
// 4607). The source must be of the group's family, else it is EINVAL; other
// errors are the system's own. libuv calls it uv_udp_set_source_membership.
func (c *Conn) JoinSourceGroup(group, source netip.Addr, ifi *net.Interface) error {
	return c.membership("join", socket.Membership{Group: group, Source: source, Interface: ifi}, false)
}

// LeaveSourceGroup ends the membership for one source.
func (c *Conn) LeaveSourceGroup(group, source netip.Addr, ifi *net.Interface) error {
	return c.membership("leave", socket.Membership{Group: group, Source: source, Interface: ifi, Leave: true}, false)
}

func (c *Conn) membership(op string, m socket.Membership, anySource bool) error {
	m.Group, m.Source = m.Group.Unmap(), m.Source.Unmap().WithZone("")
	addr := &net.IPAddr{IP: m.Group.AsSlice(), Zone: m.Group.Zone()}
	if c.closed.Load() || !m.Group.IsMulticast() || interfaceIndex(m.Interface) < 0 ||
		!anySource && m.Source.BitLen() != m.Group.BitLen() {
		return c.opError(op, addr, c.argumentError())
	}
	s, made, err := c.ensureWith(context.Background(), m.Group.Is4(), func(s socket.Socket) error { return s.Membership(m) })
	if err == nil && !made {
		err = s.Membership(m)
	}
	return c.opError(op, addr, err)
}

// SetMulticastLoopback says whether datagrams that the handle sends to groups
// are also delivered on this host, as they are by default. (Windows asks that
// of the receiver.) libuv calls it uv_udp_set_multicast_loop.
func (c *Conn) SetMulticastLoopback(on bool) error {
	return c.set(socket.MulticastLoopback, boolInt(on))
}

// MulticastLoopback returns whether datagrams sent to groups are delivered on
// this host. Before there is a socket it returns what was set, or EBADF.
func (c *Conn) MulticastLoopback() (bool, error) {
	on, err := c.get(socket.MulticastLoopback)
	return on != 0, err
}

// SetMulticastTTL sets the time to live of IPv4 and the hop limit of IPv6 for
// datagrams to groups, 1 to 255, by default 1: they do not leave the network. Other
// values are EINVAL. libuv calls it uv_udp_set_multicast_ttl.
func (c *Conn) SetMulticastTTL(ttl int) error { return c.set(socket.MulticastTTL, ttl) }

// MulticastTTL returns the time to live of datagrams to groups. Before there
// is a socket it returns what was set, or EBADF.
func (c *Conn) MulticastTTL() (int, error) { return c.get(socket.MulticastTTL) }

// SetMulticastInterface sets the interface that datagrams to groups leave by.
// nil leaves the choice to the system. libuv calls it
// uv_udp_set_multicast_interface.
func (c *Conn) SetMulticastInterface(ifi *net.Interface) error {
	return c.set(socket.MulticastInterface, interfaceIndex(ifi))
}

// MulticastInterface returns what was set, nil if the choice is the system's.
func (c *Conn) MulticastInterface() (*net.Interface, error) {
	c.mu.Lock()
	index, closed := c.config.settings.value[socket.MulticastInterface], c.closed.Load()
	c.mu.Unlock()
	if closed {
		return nil, c.settingError("get", "multicast interface", net.ErrClosed)
	}
	if index == 0 {
		return nil, nil
	}
	ifi, err := net.InterfaceByIndex(index)
	return ifi, c.settingError("get", "multicast interface", err)
}

// InterfaceByAddr returns the interface that has an address, for programs that
// name interfaces as libuv does. The zone of an IPv6 address suffices if it has
// one; the wildcard address is nil, the system's choice. An address that no
// interface has is ENODEV.
func InterfaceByAddr(addr netip.Addr) (*net.Interface, error) {
	fail := func(err error) (*net.Interface, error) {
		return nil, &net.OpError{Op: "route", Net: "ip+net", Addr: &net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}, Err: err}
	}
	if !addr.IsValid() {
		return fail(syscall.EINVAL)
	}
	if zone := addr.Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if index, e := strconv.Atoi(zone); err != nil && e == nil {
			ifi, err = net.InterfaceByIndex(index)
		}
		if err != nil {
			return fail(syscall.ENODEV)
		}
		return ifi, nil
	}
	if addr.IsUnspecified() {
		return nil, nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return fail(err)
	}
	for _, ifi := range interfaces {
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it went away
		}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == addr.Unmap() {
				return &ifi, nil
			}
		}
	}
	return fail(syscall.ENODEV)
}
