package datagramtest

import "net/netip"

// Filter has keep decide about each datagram that a host sends, before chance does: those that it does not keep are
// lost. It replaces an earlier filter; nil removes it. With it a test loses the third datagram, or all answers:
//
//	sent := 0
//	network.Filter(func(from, to netip.AddrPort, payload []byte) bool {
//		sent++
//		return sent != 3
//	})
//
// Calls follow one another in the order of sending. To a group or to everybody there is one call for all members.
// Ordinals count what is not kept, so that the fates of other datagrams do not depend on the filter.
//
// The network is locked during a call: keep must not use it or its handles. The
// payload is valid until keep returns, and not to be changed. Addresses have no
// zones.
func (n *Network) Filter(keep func(from, to netip.AddrPort, payload []byte) bool) {
	n.lock()
	defer n.mu.Unlock()
	n.keep = keep
}
