//go:build !race

package queue

import (
	"testing"

	"example.com/datagram/internal/socket"
)

// TestAllocations groups a block without allocating: the race detector does so itself.
func TestAllocations(t *testing.T) {
	const n = 30
	var l List
	if n := testing.AllocsPerRun(100, func() {
		for i := range n {
			l.Append(socket.Outgoing{Addr: destinations[i%len(destinations)]}, nil, 10, Tail{})
		}
		b := l.Take()
		b.Group()
		if !b.grouped() {
			t.Fatal("the block is not grouped")
		}
		b.Ungroup()
		b.Free()
	}); n >= 1 {
		t.Errorf("%v allocations a block", n)
	}
}
