package datagramtest

import (
	"net/netip"
	"os"
	"syscall"

	"example.com/datagram/internal/socket"
)

// A membership is what an endpoint has joined.
type membership struct {
	group, source netip.Addr
	ifIndex       int
}

// Membership joins or leaves a group.
func (e *endpoint) Membership(m socket.Membership) error {
	return e.do(func() error { return os.NewSyscallError("setsockopt", e.setMembership(m)) })
}

func (e *endpoint) setMembership(m socket.Membership) error {
	key := membership{plain(m.Group), plain(m.Source), networkIndex}
	if m.Interface != nil {
		key.ifIndex = m.Interface.Index
	} else if zone := m.Group.Zone(); zone != "" {
		key.ifIndex = interfaceIndex(zone)
	}
	switch joined := e.memberships[key]; {
	case key.ifIndex != loopbackIndex && key.ifIndex != networkIndex:
		return syscall.ENODEV
	case key.group.Is6() && e.family == socket.IPv4:
		return syscall.ENOPROTOOPT
	case m.Leave && !joined:
		return syscall.EADDRNOTAVAIL
	case m.Leave:
		delete(e.memberships, key)
	case joined:
		return syscall.EADDRINUSE
	default:
		e.memberships[key] = true
	}
	return nil
}

// wants reports whether a packet to several is for the endpoint, which need not be open
// any more. mu must be held.
func (e *endpoint) wants(p *packet) bool {
	group := p.to.Addr()
	if e.closed || !e.address().IsUnspecified() || e.score(p) == 0 {
		return false
	}
	return group == broadcast ||
		e.memberships[membership{group: group, ifIndex: p.ifIndex}] ||
		e.memberships[membership{group, p.from.Addr(), p.ifIndex}]
}

// sendToMembers sends a datagram to several to each host with an endpoint that it is for.
// mu must be held.
func (e *endpoint) sendToMembers(p packet, payload []byte) {
	n, group := e.network, p.to.Addr()
	// What goes out of the loopback interface stays on the host, as does what has the scope of
	// an interface (RFC 4291 section 2.7).
	stays := p.ifIndex == loopbackIndex || group.IsInterfaceLocalMulticast()
	found := false
	for _, h := range n.hosts {
		to := h.source(p.from.Addr())
		if h == e.host {
			// The loopback interface hears itself in any case.
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
