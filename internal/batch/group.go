package batch

import (
	"hash/maphash"
	"net/netip"
)

// MaxGroup is how many datagrams a Grouper can order at a time.
const MaxGroup = 1024

// A Grouper orders datagrams by destination, so that they form runs. Those to
// one destination keep their order.
type Grouper struct {
	order [MaxGroup]uint16
	// first, next and last chain the datagrams of each group. Groups are numbered
	// in the order of their first datagrams. The table, which maps a destination to
	// its group, holds numbers plus 1; 0 is empty.
	first, next, last [MaxGroup]uint16
	table             [2 * MaxGroup]uint16
}

// Group returns the order for n datagrams, or nil if they already are in order.
// addr returns the destination of each. The order is valid until the next call.
func (g *Grouper) Group(n int, addr func(int) netip.AddrPort) []uint16 {
	if n > MaxGroup {
		return nil
	}
	clear(g.table[:])
	groups, scattered := 0, false
	group := 0 // of the previous datagram
	for i := range n {
		a := addr(i)
		if i == 0 || a != addr(i-1) {
			var found bool
			if group, found = g.find(a, groups, addr); found {
				scattered = true
			} else {
				groups++
				g.first[group], g.last[group] = uint16(i), uint16(i)
				continue
			}
		}
		g.next[g.last[group]] = uint16(i)
		g.last[group] = uint16(i)
	}
	if !scattered {
		return nil
	}
	order := g.order[:0]
	for group := range groups {
		for i := g.first[group]; ; i = g.next[i] {
			order = append(order, i)
			if i == g.last[group] {
				break
			}
		}
	}
	return order
}

// find returns the group of a destination and true, or makes a new one with the
// given number.
func (g *Grouper) find(a netip.AddrPort, number int, addr func(int) netip.AddrPort) (int, bool) {
	for slot := hash(a); ; slot++ {
		entry := &g.table[slot%uint32(len(g.table))]
		if *entry == 0 {
			*entry = uint16(number + 1)
			return number, false
		}
		if group := int(*entry - 1); addr(int(g.first[group])) == a {
			return group, true
		}
	}
}

// seed differs in each process. Who could predict the hash could choose addresses
// that collide, and make find slow.
var seed = maphash.MakeSeed()

// hash spreads destinations over the table.
func hash(a netip.AddrPort) uint32 { return uint32(maphash.Comparable(seed, a)) }
