package datagramtest

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// A Link describes what happens to datagrams on a path, that is, from one
// address and port to another. The zero Link delivers each datagram at once.
// Links also apply to datagrams that a host sends to itself, through its own
// addresses or the loopback addresses.
//
// A path loses, queues, delays, corrupts and duplicates datagrams, in this
// order.
type Link struct {
	// Loss is the probability that a datagram is lost.
	Loss float64
	// Duplicate is the probability that a datagram arrives twice. The copy has
	// its own jitter, keeps its order, and is not corrupted.
	Duplicate float64
	// Reorder is the probability that a datagram is additionally delayed by the
	// sum of Delay and Jitter, but at least by a millisecond, without delaying
	// those behind it. All others keep their order, whatever the Jitter.
	Reorder float64
	// Corrupt is the probability that one bit of the payload is flipped. Empty
	// payloads are not affected.
	Corrupt float64

	// Delay is how long a datagram travels. Jitter is the maximum of an
	// additional, evenly distributed delay.
	Delay, Jitter time.Duration

	// Rate is the number of payload bytes that a path carries per second, 0 for
	// no limit. Queue is the number of bytes that may wait for their turn, 0
	// for no limit. A datagram that must wait and finds no room in the queue is
	// lost. Each path has its own rate; no two handles share one.
	Rate, Queue int

	// MTU is the size of the largest IP packet, headers included: 20 bytes for
	// IPv4 or 40 for IPv6, and 8 for UDP. 0 means no limit. Nothing is
	// fragmented: as on Linux with [datagram.WithDontFragment], sending a
	// longer datagram fails with EMSGSIZE, which is also reported to handles
	// with [datagram.WithNetworkErrors]. A longer datagram to a group or
	// broadcast address is lost on its way.
	MTU int
}

// check panics if a field is out of range, which is a programming error.
func (l Link) check() {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Loss", l.Loss}, {"Duplicate", l.Duplicate}, {"Reorder", l.Reorder}, {"Corrupt", l.Corrupt}} {
		checkProbability("Link."+p.name, p.value)
	}
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"Delay", int64(l.Delay)},
		{"Jitter", int64(l.Jitter)},
		{"Rate", int64(l.Rate)},
		{"Queue", int64(l.Queue)},
		{"MTU", int64(l.MTU)},
	} {
		if v.value < 0 {
			panic(fmt.Sprintf("datagramtest: Link.%s is negative: %d", v.name, v.value))
		}
	}
}

func checkProbability(name string, p float64) {
	if !(p >= 0 && p <= 1) { // also rejects NaN
		panic(fmt.Sprintf("datagramtest: %s is %v, want a probability from 0 to 1", name, p))
	}
}

// The headers of IPv4 and IPv6 (RFC 791, RFC 8200) with that of UDP (RFC 768).
const headers4, headers6 = 20 + 8, 40 + 8

// fits reports whether a payload to an address fits the link.
func (l *Link) fits(to netip.Addr, size int) bool {
	if to.Is6() {
		return l.MTU == 0 || headers6+size <= l.MTU
	}
	return l.MTU == 0 || headers4+size <= l.MTU
}

// travel returns when a datagram arrives that departs at the given time, with a
// fraction of the jitter.
func (l *Link) travel(departure time.Duration, jitter float64) time.Duration {
	return after(after(departure, l.Delay), time.Duration(jitter*float64(l.Jitter)))
}

// late returns the additional delay of a reordered datagram.
func (l *Link) late() time.Duration { return max(after(l.Delay, l.Jitter), time.Millisecond) }

// after returns at + d on the network's clock, without overflow.
func after(at, d time.Duration) time.Duration {
	if d > math.MaxInt64-at {
		return math.MaxInt64
	}
	return at + d
}

// A rule sets the link between two sets of addresses.
type rule struct {
	from, to netip.Prefix
	link     *Link
}

// SetLink sets the link of all paths from addresses in one prefix to addresses
// in another, in this direction only. The zero Prefix contains every address.
// If several links apply to a path, the one set last counts. Datagrams in
// transit are not affected. SetLink panics if a field of link is out of range,
// or if a Prefix is neither valid nor zero.
//
// The addresses are those of hosts, including loopback addresses; both may
// belong to the same host. A datagram to a group or broadcast address travels
// once to each host with a member, to the address from which that host would
// send to the sender. On the sender's own host it travels from its address to
// the same address.
func (n *Network) SetLink(from, to netip.Prefix, link Link) {
	link.check()
	from, to = plainPrefix(from), plainPrefix(to)
	n.lock()
	defer n.mu.Unlock()
	n.rules = slices.DeleteFunc(n.rules, func(r rule) bool { return r.from == from && r.to == to })
	n.rules = append(n.rules, rule{from, to, &link})
}

// link returns the link of paths between two addresses. mu must be held.
func (n *Network) link(from, to netip.Addr) *Link {
	for _, r := range slices.Backward(n.rules) {
		if holds(r.from, from) && holds(r.to, to) {
			return r.link
		}
	}
	return n.usual
}

func holds(p netip.Prefix, addr netip.Addr) bool { return !p.IsValid() || p.Contains(addr) }

// A cut separates two sets of addresses.
type cut struct{ a, b netip.Prefix }

// Partition drops all datagrams sent between addresses in a and addresses in b,
// in both directions, until heal is called. Datagrams in transit still arrive.
// The zero Prefix contains every address. Addresses are as for
// [Network.SetLink]; with two zero prefixes, a host is cut off from itself too.
// Partitions are independent of each other, and calling heal again does
// nothing. Partition panics if a Prefix is neither valid nor zero.
func (n *Network) Partition(a, b netip.Prefix) (heal func()) {
	c := &cut{plainPrefix(a), plainPrefix(b)}
	n.lock()
	defer n.mu.Unlock()
	n.cuts = append(n.cuts, c)
	return func() {
		n.lock()
		defer n.mu.Unlock()
		n.cuts = slices.DeleteFunc(n.cuts, func(other *cut) bool { return other == c })
	}
}

// isCut reports whether a partition separates two addresses. mu must be held.
func (n *Network) isCut(a, b netip.Addr) bool {
	for _, c := range n.cuts {
		if holds(c.a, a) && holds(c.b, b) || holds(c.a, b) && holds(c.b, a) {
			return true
		}
	}
	return false
}
