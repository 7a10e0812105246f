package datagramtest

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"
)

// A Link says what becomes of datagrams on a path: those from one address and
// port to another. The zero Link delivers each at once. Links are also what
// leads from a host to itself, by its own addresses and by those of loopback.
//
// What a path does to a datagram it does in this order: it loses, queues, delays,
// corrupts, duplicates.
type Link struct {
	// Loss is the probability that a datagram is lost.
	Loss float64
	// Duplicate is the probability that a datagram arrives twice. The copy has a jitter of its own,
	// keeps its order, and is not corrupted.
	Duplicate float64
	// Reorder is the probability that a datagram is late by as much again as Delay and
	// Jitter together, but at least by a millisecond, and does not hold up those behind it.
	// All others keep their order, whatever Jitter says.
	Reorder float64
	// Corrupt is the probability that a bit of the payload is flipped. An empty
	// payload stays as it is.
	Corrupt float64

	// Delay is how long a datagram travels, and Jitter what is added
	// at most, evenly distributed.
	Delay, Jitter time.Duration

	// Rate is how many payload bytes a path carries in a second, 0 for any
	// number. Queue is how many may wait until it is their turn, 0 for any
	// number; a datagram that finds no room in the queue is lost, but never one
	// that need not wait. Each path has a rate of its own: no two handles share
	// one.
	Rate, Queue int

	// MTU is the size of the largest IP packet, headers included: 20 bytes for
	// IPv4 or 40 for IPv6, and 8 for UDP. 0 is unlimited. Nothing is
	// fragmented: a longer datagram fails with EMSGSIZE, as on Linux with
	// [datagram.WithDontFragment], and with [datagram.WithNetworkErrors] is
	// reported too. To a group or to everybody it is lost on its way.
	MTU int
}

// check panics if a field is out of range, which is a mistake in the program.
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
	if !(p >= 0 && p <= 1) { // nor a NaN
		panic(fmt.Sprintf("datagramtest: %s is %v, want a probability from 0 to 1", name, p))
	}
}

// The headers of IPv4 and IPv6 (RFC 791, RFC 8200) with that of UDP (RFC 768).
const headers4, headers6 = 20 + 8, 40 + 8

// fits reports whether a payload to an address is not too long for the link.
func (l *Link) fits(to netip.Addr, size int) bool {
	if to.Is6() {
		return l.MTU == 0 || headers6+size <= l.MTU
	}
	return l.MTU == 0 || headers4+size <= l.MTU
}

// travel returns when what departs at some time has travelled the link, with a part of its jitter.
func (l *Link) travel(departure time.Duration, jitter float64) time.Duration {
	return after(after(departure, l.Delay), time.Duration(jitter*float64(l.Jitter)))
}

// late is by how much a reordered datagram is late.
func (l *Link) late() time.Duration { return max(after(l.Delay, l.Jitter), time.Millisecond) }

// after returns a time on the network's clock that is d after another, or the end of all time.
func after(at, d time.Duration) time.Duration {
	if d > math.MaxInt64-at {
		return math.MaxInt64
	}
	return at + d
}

// A rule is a link with the addresses between which it lies.
type rule struct {
	from, to netip.Prefix
	link     *Link
}

// SetLink gives a link to all paths from addresses in one prefix to addresses
// in another, in this direction. The zero Prefix holds every address. Of
// several links for a path, the one that was set last counts. What is under way
// stays so. It panics if a field of link is out of range, or another Prefix is
// not valid.
//
// Addresses are those of hosts, be they the same host's, and loopback addresses. A datagram to a group or to everybody
// travels once to each host with a member: to the address from which that host would send to the sender; on the
// sender's own host from its address to the same.
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

// A cut lies between two sets of addresses.
type cut struct{ a, b netip.Prefix }

// Partition loses all datagrams sent between addresses in a and addresses in b,
// in both directions, until heal is called; what is under way arrives. The zero
// Prefix holds every address. Addresses are as for [Network.SetLink]:
// Partition(all, all) cuts a host off from itself too. Partitions are
// independent of one another; healing again does nothing. It panics if a Prefix
// other than the zero one is not valid.
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
