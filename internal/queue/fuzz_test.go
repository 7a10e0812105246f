package queue

import (
	"slices"
	"testing"

	"example.com/datagram/internal/socket"
)

// FuzzGroup groups a block, answers for some of it, and ungroups it: nothing is lost, doubled or
// separated from its tail, and each destination keeps its order.
func FuzzGroup(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 2}, uint8(2))
	f.Add([]byte{0, 0, 0}, uint8(0))
	f.Add([]byte{}, uint8(1))
	f.Add(slices.Repeat([]byte{2, 1, 0}, blockDatagrams), uint8(255))
	f.Fuzz(func(t *testing.T, to []byte, answered uint8) {
		var l List
		for i := range to {
			out := socket.Outgoing{Addr: destinations[int(to[i])%len(destinations)]}
			copy(l.Append(out, nil, 2, Tail{Size: i}), []byte{byte(i), byte(i >> 8)})
		}
		next := 0
		for b := l.Take(); b != nil; b = l.Take() {
			check := func(inOrder bool) {
				last := map[any]int{}
				for j, d := range b.Datagrams {
					number := b.Tails[j].Size
					if int(d.Payload[0])|int(d.Payload[1])<<8 != number&0xffff || d.Addr != destinations[int(to[number])%len(destinations)] {
						t.Fatalf("datagram %d was separated from its tail or destination", number)
					}
					if before, ok := last[d.Addr]; ok && before >= number {
						t.Fatalf("datagram %d to %v follows %d", number, d.Addr, before)
					}
					last[d.Addr] = number
					if inOrder && number != next+j {
						t.Fatalf("datagram %d is at place %d", number, next+j)
					}
				}
			}
			b.Answered = min(int(answered), len(b.Datagrams))
			if done := b.SplitAnswered(); done != nil {
				next += len(done.Datagrams)
				done.Free()
			}
			b.Answered = min(1, len(b.Datagrams))
			b.Group() // too late
			check(true)
			b.Answered = 0
			b.Group()
			check(false)
			b.Answered = len(b.Datagrams) / 2
			b.Group() // too late
			if b.grouped() && b.SplitAnswered() != nil {
				t.Fatal("part of a grouped block was taken out of it")
			}
			b.Ungroup()
			b.Ungroup()
			check(true)
			next += len(b.Datagrams)
			b.Free()
		}
		if next != len(to) {
			t.Fatalf("%d of %d datagrams", next, len(to))
		}
	})
}
