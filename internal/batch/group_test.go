package batch_test

import (
	"encoding/binary"
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

// Strangers choose where answers go. Here they do so that a hash without a secret, which the package had once,
// puts all destinations into one place of the table.
func TestChosenDestinations(t *testing.T) {
	chosen := make([]netip.AddrPort, 0, batch.MaxGroup)
	for i := uint32(0); len(chosen) < cap(chosen); i++ {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 24), byte(i >> 16), 1}), uint16(i))
		b := a.Addr().As16()
		h := binary.NativeEndian.Uint64(b[:8]) ^ binary.NativeEndian.Uint64(b[8:])*0x9e3779b97f4a7c15 ^ uint64(a.Port())
		if h*0x9e3779b97f4a7c15>>40%(2*batch.MaxGroup) == 0 {
			chosen = append(chosen, a)
		}
	}
	looks := 0
	new(batch.Grouper).Group(len(chosen), func(i int) netip.AddrPort {
		looks++
		return chosen[i]
	})
	if looks > 10*len(chosen) {
		t.Errorf("%d destinations were looked at %d times", len(chosen), looks)
	}
}

func BenchmarkGroup(b *testing.B) {
	addrs := make([]netip.AddrPort, batch.MaxGroup)
	for i := range addrs {
		addrs[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(i%64))
	}
	g := new(batch.Grouper)
	for b.Loop() {
		g.Group(len(addrs), func(i int) netip.AddrPort { return addrs[i] })
	}
}
