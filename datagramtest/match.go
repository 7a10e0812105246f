package datagramtest

import (
	"net/netip"

	"example.com/datagram/internal/socket"
)

// serves reports whether the endpoint's family includes an address.
func (e *endpoint) serves(addr netip.Addr) bool {
	return e.family == socket.Dual || addr.Is4() == (e.family == socket.IPv4)
}

// conflicts reports whether two endpoints cannot be bound to the same port.
func (e *endpoint) conflicts(other *endpoint) bool {
	switch {
	case e.options[socket.ReuseAddr] != 0 && other.options[socket.ReuseAddr] != 0, e.reusesPort() && other.reusesPort():
		return false
	case e.isWildcard() && other.isWildcard():
		return e.family == socket.Dual || other.family == socket.Dual || e.family == other.family
	case e.isWildcard():
		return e.serves(other.local.Addr())
	case other.isWildcard():
		return other.serves(e.local.Addr())
	}
	return e.local.Addr() == other.local.Addr()
}

func (e *endpoint) reusesPort() bool { return e.options[socket.ReusePort] != 0 }

// score returns how specifically the endpoint is bound to a packet's addresses, or 0 if the packet
// is not for it. In order of weight: an address from bind or connect rather than the wildcard, a
// peer, a device and, for IPv4, a single family (__udp4_lib_lookup and __udp6_lib_lookup of Linux).
func (e *endpoint) score(p *packet) int {
	local := e.address()
	switch {
	case !e.serves(p.to.Addr()),
		!local.IsUnspecified() && local != p.to.Addr(),
		e.peer.IsValid() && e.peer != p.from,
		e.device != 0 && e.device != p.ifIndex:
		return 0
	}
	score := 1
	if !local.IsUnspecified() {
		score += 8
	}
	if e.peer.IsValid() {
		score += 4
	}
	if e.device != 0 {
		score += 2
	}
	if e.family == socket.IPv4 {
		score++
	}
	return score
}
