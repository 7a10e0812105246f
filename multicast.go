package datagram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"example.com/datagram/internal/socket"
)

// JoinGroup joins a multicast group on an interface, so that the handle
// receives datagrams that are sent to the group and arrive there. A nil ifi
// means the interface named by the group's zone; without a zone the system
// chooses one. A handle without a socket is first bound to the wildcard address
// of the group's family. libuv calls it uv_udp_set_membership.
//
// The handle receives only from groups that it has joined itself. Linux does
// not distinguish the interfaces of an IPv6 group: a handle that has joined it
// on one interface also receives what arrives on another where somebody else
// has joined it. [Metadata].IfIndex tells them apart.
//
// The membership ends with LeaveGroup or Close. It survives the interface going
// down, but not its removal. To receive from an interface that replaces it,
// even one of the same name, leave the group on the old one and join it on the
// new one.
//
// JoinGroup returns EINVAL if group is not a multicast address, EADDRINUSE if
// the handle is a member already, and ENODEV if the interface does not exist.
// The memberships of the handles of a [Group] are those of the group: its first
// handle joins, and one of them receives.
//
// Linux limits the number of IPv4 groups of a socket
// (net.ipv4.igmp_max_memberships, by default 20) and returns ENOBUFS beyond
// that.
func (c *Conn) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	return c.membership("join", socket.Membership{Group: group, Interface: ifi}, true)
}

// LeaveGroup ends a membership. It returns EADDRNOTAVAIL if the handle is not a
// member.
func (c *Conn) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	return c.membership("leave", socket.Membership{Group: group, Interface: ifi, Leave: true}, true)
}

// JoinSourceGroup is like JoinGroup, but receives only what one source sends to
// the group (RFC 4607). It returns EINVAL if source is not of the group's
// family; other errors are the system's. libuv calls it
// uv_udp_set_source_membership.
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
	wrong := ""
	switch {
	case !m.Group.IsMulticast():
		wrong = "not a multicast address"
	case !anySource && m.Source.BitLen() != m.Group.BitLen():
		wrong = "source of another family"
	case interfaceIndex(m.Interface) < 0:
		wrong = "interface without a valid index"
	}
	if wrong != "" || c.closed.Load() {
		return c.opError(op, addr, c.argumentError(wrong))
	}
	_, err := c.member.use(context.Background(), m.Group.Is4(), func(s socket.Socket) error { return s.Membership(m) })
	return c.opError(op, addr, err)
}

// SetMulticastLoopback sets whether datagrams that the handle sends to groups
// are also delivered on this host, which is the default. On Windows the
// receiver's setting decides instead. libuv calls it uv_udp_set_multicast_loop.
func (c *Conn) SetMulticastLoopback(on bool) error {
	return c.set(socket.MulticastLoopback, boolInt(on))
}

// MulticastLoopback reports whether datagrams that the handle sends to groups
// are delivered on this host. Before there is a socket it returns the value
// that was set, or EBADF if none was.
func (c *Conn) MulticastLoopback() (bool, error) {
	on, err := c.get(socket.MulticastLoopback)
	return on != 0, err
}

// SetMulticastTTL sets the IPv4 time to live and the IPv6 hop limit of
// datagrams to groups, 1 to 255. Other values return EINVAL. The default is 1:
// such datagrams do not leave the local network. libuv calls it
// uv_udp_set_multicast_ttl.
func (c *Conn) SetMulticastTTL(ttl int) error { return c.set(socket.MulticastTTL, ttl) }

// MulticastTTL returns the time to live of datagrams to groups. Before there is
// a socket it returns the value that was set, or EBADF if none was.
func (c *Conn) MulticastTTL() (int, error) { return c.get(socket.MulticastTTL) }

// SetMulticastInterface sets the interface that datagrams to groups leave by;
// nil lets the system choose. After the interface is removed, such sends fail
// with ENODEV or ENETUNREACH until an interface is set again, even if a new one
// has the same name. libuv calls it uv_udp_set_multicast_interface.
func (c *Conn) SetMulticastInterface(ifi *net.Interface) error {
	return c.set(socket.MulticastInterface, interfaceIndex(ifi))
}

// MulticastInterface returns the interface that is set for datagrams to groups,
// whoever set it, or nil if the system chooses. It describes the interface as
// seen in the socket's network namespace, which may differ from the program's.
// If others have set one for IPv4 alone, Linux tells it only if they named it
// by an address.
func (c *Conn) MulticastInterface() (*net.Interface, error) {
	describe := c.config.network.Interface
	if s := c.socket(); s != nil {
		describe = s.Interface
	}
	index, err := c.get(socket.MulticastInterface)
	if errors.Is(err, syscall.EBADF) { // no socket, and no interface set
		return nil, nil
	}
	if err != nil || index == 0 {
		return nil, err
	}
	ifi, err := describe(index)
	return ifi, c.settingError("get", socket.MulticastInterface.String(), err)
}

// InterfaceByAddr returns the interface that has an address, for programs that
// name interfaces as libuv does. If an IPv6 address has a zone, the zone alone
// decides. For the wildcard address it returns nil, the system's choice. It
// returns ENODEV if no interface has the address.
func InterfaceByAddr(addr netip.Addr) (*net.Interface, error) {
	fail := func(err error) (*net.Interface, error) {
		return nil, &net.OpError{Op: "route", Net: "ip+net", Addr: &net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}, Err: err}
	}
	if !addr.IsValid() {
		return fail(invalid("no address"))
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
