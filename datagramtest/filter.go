package datagramtest

import "net/netip"

// Filter sets a function that decides, before any random choice, about each
// datagram that a host sends: those for which keep returns false are lost. A
// later Filter replaces it; nil removes it. A test can use it to lose the third
// datagram, or all answers:
//
//	sent := 0
//	network.Filter(func(from, to netip.AddrPort, payload []byte) bool {
//		sent++
//		return sent != 3
//	})
//
// Calls to keep follow one another in sending order. For a datagram to a group
// or broadcast address there is one call for all receivers. Lost datagrams
// count in the ordinals of their path, so the filter does not change the fate
// of other datagrams.
//
// The network is locked during a call: keep must not use it or its handles, and
// must return, so it must not call [testing.T.FailNow]. The payload is valid
// until keep returns, and keep must not modify it. Addresses have no zones.
func (n *Network) Filter(keep func(from, to netip.AddrPort, payload []byte) bool) {
	n.lock()
	defer n.mu.Unlock()
	n.keep = keep
}
