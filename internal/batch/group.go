package batch

import (
	"hash/maphash"
	"net/netip"
)

// MaxGroup is how many datagrams a Grouper can put in order together.
const MaxGroup = 1024

// A Grouper finds an order of datagrams in which those to one destination
// follow one another, so that they form runs. Among themselves they keep their
// order.
type Grouper struct {
	order [MaxGroup]uint16
	// first, next and last chain the datagrams of each group, in the order of
	// their first ones. The table finds a group by destination; 0 is empty.
	first, next, last [MaxGroup]uint16
	table             [2 * MaxGroup]uint16
}

// Group returns the order of n datagrams, or nil if the given one will do. addr tells the destination of each.
// The order is valid until the next call.
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

// find returns the group of a destination, or makes a new one of that number.
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

// seed is drawn anew by each process: who could foresee the hash could choose addresses that
// collide, and the answers to them would be compared one with another.
var seed = maphash.MakeSeed()

// hash spreads destinations over the table.
func hash(a netip.AddrPort) uint32 { return uint32(maphash.Comparable(seed, a)) }
