package datagramtest

import (
	"cmp"
	"net/netip"
	"syscall"

	"example.com/datagram/internal/socket"
)

// resolve returns an address to send or connect to in plain form, and the interface that its zone
// names, or 0 if it needs none.
func resolve(addr netip.AddrPort) (to netip.AddrPort, zone int, err error) {
	to = plainPort(addr)
	if name := addr.Addr().Zone(); name != "" {
		if zone = interfaceIndex(name); zone < 0 {
			return to, 0, syscall.ENODEV
		}
	}
	if ip := to.Addr(); ip.IsUnspecified() {
		to = netip.AddrPortFrom(loopback(ip), to.Port())
	} else if !needsZone(ip) {
		zone = 0
	}
	return to, zone, nil
}

// needsZone reports whether an address is meaningless without an interface.
func needsZone(ip netip.Addr) bool {
	return ip.Is6() && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsInterfaceLocalMulticast())
}

// A route is the source and the interface of a datagram.
type route struct {
	from    netip.Addr
	ifIndex int // of the receiver
}

// route finds the route to an address. mu must be held.
func (e *endpoint) route(to netip.Addr, c socket.Control) (route, error) {
	several, local := isSeveral(to), e.host.has(to)
	r := route{from: plain(c.Local), ifIndex: e.outgoing(to, c)}
	switch {
	case !r.from.IsValid() && !e.address().IsUnspecified():
		r.from = e.address()
	case !r.from.IsValid(), e.host.has(r.from):
	case r.from.Is4():
		return r, syscall.ENETUNREACH
	default:
		return r, syscall.EINVAL
	}

	switch r.ifIndex {
	case 0:
		r.ifIndex = networkIndex
		// For multicast and broadcast, the source determines the interface
		// (ip_route_output_key_hash of Linux).
		if local || several && r.from.IsLoopback() {
			r.ifIndex = loopbackIndex
		}
	case loopbackIndex:
		if !several && !local {
			return r, syscall.ENETUNREACH
		}
	case networkIndex:
	default:
		return r, syscall.ENODEV
	}

	if !r.from.IsValid() {
		r.from = e.host.source(to)
		switch {
		case local:
			r.from = to
		case several && r.ifIndex == loopbackIndex && !r.from.IsValid():
			r.from = loopback(to)
		}
	}
	switch {
	case !r.from.IsValid(), r.from.Is4() != to.Is4():
		return r, syscall.ENETUNREACH
	case r.from.IsLoopback() && r.ifIndex == networkIndex && !local:
		return r, syscall.EINVAL
	}
	return r, nil
}

// outgoing returns the interface that a datagram must leave by, 0 for any. mu must be held.
func (e *endpoint) outgoing(to netip.Addr, c socket.Control) int {
	index := cmp.Or(c.IfIndex, e.device)
	if index == 0 && to.IsMulticast() {
		return e.options[socket.MulticastInterface]
	}
	return index
}

// source returns the host's source address for a destination: the first of the same family,
// preferably of the same scope (RFC 6724 section 5, rule 2). It returns the zero Addr if there is
// none.
func (h *Host) source(to netip.Addr) netip.Addr {
	var best netip.Addr
	for _, addr := range h.addrs {
		if addr.Is4() != to.Is4() {
			continue
		}
		if addr.IsLinkLocalUnicast() == (to.IsLinkLocalUnicast() || to.IsLinkLocalMulticast()) {
			return addr
		}
		if !best.IsValid() {
			best = addr
		}
	}
	return best
}
