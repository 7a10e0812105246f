package datagramtest

import (
	"net/netip"
	"os"
	"syscall"

	"example.com/datagram/internal/socket"
)

// A membership is a group that an endpoint has joined on an interface.
type membership struct {
	group   netip.Addr
	ifIndex int
}

// sources are the sources that a member receives from, nil for any.
type sources map[netip.Addr]bool

// The maximum numbers of groups of an endpoint, and of sources of a group, on Linux
// (net.ipv4.igmp_max_memberships, igmp_max_msf and net.ipv6.mld_max_msf). Only memory limits IPv6
// groups.
const maxGroups4, maxSources4, maxSources6 = 20, 10, 64

// Membership joins or leaves a group.
func (e *endpoint) Membership(m socket.Membership) error {
	return e.do(func() error { return os.NewSyscallError("setsockopt", e.setMembership(m)) })
}

// setMembership returns the errors of ip_mc_join_group, ip_mc_leave_group and ip_mc_source of
// Linux.
func (e *endpoint) setMembership(m socket.Membership) error {
	key := membership{plain(m.Group), networkIndex}
	if m.Interface != nil {
		key.ifIndex = m.Interface.Index
	} else if zone := m.Group.Zone(); zone != "" {
		key.ifIndex = interfaceIndex(zone)
	}
	_, joined := e.memberships[key]
	switch {
	case key.group.Is6() && e.family == socket.IPv4:
		return syscall.ENOPROTOOPT
	case m.Leave && !m.Source.IsValid():
		if !joined {
			return syscall.EADDRNOTAVAIL
		}
		delete(e.memberships, key)
	case key.ifIndex != loopbackIndex && key.ifIndex != networkIndex:
		return syscall.ENODEV
	case !m.Leave && !joined && key.group.Is4() && e.groups4() == maxGroups4:
		return syscall.ENOBUFS
	case m.Source.IsValid():
		return e.setSource(key, plain(m.Source), m.Leave)
	case joined:
		return syscall.EADDRINUSE
	default:
		e.memberships[key] = nil
	}
	return nil
}

// setSource joins or leaves a group for one source. mu must be held.
func (e *endpoint) setSource(key membership, source netip.Addr, leave bool) error {
	from, joined := e.memberships[key]
	if leave && !joined {
		return syscall.EINVAL
	}
	if from == nil { // also if any source was accepted
		from = make(sources)
		e.memberships[key] = from
	}
	limit := maxSources6
	if key.group.Is4() {
		limit = maxSources4
	}
	switch {
	case leave != from[source]:
		return syscall.EADDRNOTAVAIL
	case leave && len(from) == 1:
		delete(e.memberships, key)
	case leave:
		delete(from, source)
	case len(from) == limit:
		return syscall.ENOBUFS
	default:
		from[source] = true
	}
	return nil
}

// groups4 returns the number of IPv4 groups that the endpoint has joined. mu must be held.
func (e *endpoint) groups4() (n int) {
	for key := range e.memberships {
		if key.group.Is4() {
			n++
		}
	}
	return n
}

// wants reports whether a multicast or broadcast packet is for the endpoint, which may be closed.
// mu must be held.
func (e *endpoint) wants(p *packet) bool {
	group := p.to.Addr()
	if e.closed || !e.address().IsUnspecified() || e.score(p) == 0 {
		return false
	}
	from, joined := e.memberships[membership{group, p.ifIndex}]
	return group == broadcast || joined && (from == nil || from[p.from.Addr()])
}

// sendToMembers sends a multicast or broadcast datagram to each host with an endpoint that it is
// for. mu must be held.
func (e *endpoint) sendToMembers(p packet, payload []byte) {
	n, group := e.network, p.to.Addr()
	// Datagrams out of the loopback interface stay on the host, as do those with interface-local
	// scope (RFC 4291 section 2.7).
	stays := p.ifIndex == loopbackIndex || group.IsInterfaceLocalMulticast()
	found := false
	for _, h := range n.hosts {
		to := h.source(p.from.Addr())
		if h == e.host {
			// The loopback interface always receives its own datagrams.
			if group.IsMulticast() && e.options[socket.MulticastLoopback] == 0 && p.ifIndex != loopbackIndex {
				continue
			}
			to = p.from.Addr()
		} else if stays || !to.IsValid() {
			continue
		}
		p.members = nil
		for _, member := range h.ports[p.to.Port()] {
			if member.wants(&p) {
				p.members = append(p.members, member)
			}
		}
		if p.members != nil {
			found = true
			n.transmit(p.with(payload), e.flow(p.from.Addr(), netip.AddrPortFrom(to, p.to.Port())))
		}
	}
	if !found {
		p.members = nil
		lost := p.with(payload)
		n.noteSent(lost, p.flow)
		n.lose(lost, "no member")
	}
}
