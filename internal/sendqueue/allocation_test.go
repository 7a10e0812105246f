//go:build !race

package sendqueue

import (
	"testing"

	"example.com/datagram/internal/socket"
)

// TestAllocations groups and completes a block without allocating. The race detector itself allocates.
func TestAllocations(t *testing.T) {
	const n = 30
	var l blockList
	var c completions
	done := func(error) {}
	if n := testing.AllocsPerRun(100, func() {
		for i := range n {
			l.append(&socket.Outgoing{Addr: destinations[i%len(destinations)]}, nil, 10, tail{done: done})
		}
		b := ready(l.take())
		b.group()
		if !b.reordered() {
			t.Fatal("the block is not grouped")
		}
		b.answer(n, nil)
		for from, to := b.settle(); from < to; from++ {
			c.add(&b.tails[from], b.datagram(from))
		}
		b.free()
		for p := c.take(); p != nil; p = c.take() {
			p.free()
		}
	}); n >= 1 {
		t.Errorf("%v allocations a block", n)
	}
}
