package batch_test

import (
	"net/netip"
	"testing"

	"example.com/datagram/internal/batch"
)

// FuzzGroup checks that an order has each datagram once, that destinations
// follow one another, and that each keeps its own order.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{1, 1, 2, 2})
	f.Add([]byte{1, 2, 1, 2, 3, 1})
	f.Add(make([]byte, 256))
	f.Fuzz(func(t *testing.T, destinations []byte) {
		if len(destinations) > 256 {
			destinations = destinations[:256]
		}
		addr := func(i int) netip.AddrPort {
			d := destinations[i]
			if d == 0 {
				return netip.AddrPort{}
			}
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, d % 16}), uint16(d/16))
		}
		var g batch.Grouper
		order := g.Group(len(destinations), addr)
		if order == nil {
			for i := range destinations {
				order = append(order, uint16(i))
			}
		}
		if len(order) != len(destinations) {
			t.Fatalf("%d datagrams in an order of %d", len(destinations), len(order))
		}
		last := make(map[netip.AddrPort]int)
		for position, i := range order {
			a := addr(int(i))
			previous, seen := last[a]
			if seen && int(i) <= previous {
				t.Fatalf("datagram %d to %v after %d: %v", i, a, previous, order)
			}
			if seen && addr(int(order[position-1])) != a {
				t.Fatalf("destination %v is scattered: %v", a, order)
			}
			last[a] = int(i)
		}
	})
}
