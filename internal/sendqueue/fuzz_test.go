package sendqueue

import (
	"net/netip"
	"slices"
	"testing"

	"example.com/datagram/internal/socket"
)

// FuzzGroup answers blocks a few datagrams at a time, and in between groups them and postpones a destination.
// Nothing is lost, duplicated or separated from its tail, each destination keeps its order, and all settle in
// the order of acceptance.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 2}, uint8(2))
	f.Add([]byte{0, 0, 0}, uint8(0))
	f.Add([]byte{}, uint8(1))
	f.Add(slices.Repeat([]byte{2, 1, 0}, blockDatagrams), uint8(255))
	f.Fuzz(func(t *testing.T, to []byte, answered uint8) {
		var l blockList
		for i := range to {
			out := socket.Outgoing{Addr: destinations[int(to[i])%len(destinations)]}
			copy(l.append(&out, nil, 2, tail{size: i}), []byte{byte(i), byte(i >> 8)})
		}
		next := 0
		last := map[netip.AddrPort]int{}
		for b := l.take(); b != nil; b = l.take() {
			for round := 0; !b.done(); round++ {
				late := destinations[round%len(destinations)]
				b.postpone(func(d *socket.Outgoing) bool { return d.Addr == late })
				b.group()
				for range min(int(answered)+1, b.ready-b.answered) {
					d, tail := answer(b, nil)
					number := tail.size
					if d.Addr == late {
						t.Fatalf("datagram %d was to wait", number)
					}
					if int(d.Payload[0])|int(d.Payload[1])<<8 != number&0xffff || d.Addr != destinations[int(to[number])%len(destinations)] {
						t.Fatalf("datagram %d was separated from its tail or destination", number)
					}
					if before, ok := last[d.Addr]; ok && before >= number {
						t.Fatalf("datagram %d to %v follows %d", number, d.Addr, before)
					}
					last[d.Addr] = number
				}
				for _, s := range settle(b) {
					if s.size != next || int(s.d.Payload[0])|int(s.d.Payload[1])<<8 != next&0xffff {
						t.Fatalf("datagram %d settles after %d", s.size, next)
					}
					next++
				}
			}
			b.free()
		}
		if next != len(to) {
			t.Fatalf("%d of %d datagrams", next, len(to))
		}
	})
}
