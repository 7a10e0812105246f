package datagram_test

import (
	"testing"

	"example.com/datagram"
)

func TestDropNewest(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(4, datagram.DropNewest))
	s := plainSocket(t, c)
	ch := c.Recv()
	writeNumbers(t, s, 0, 20)
	eventually(t, "all received", func() bool { return c.Stats().Received == 20 })
	if stats := c.Stats(); stats.Held != 4 || stats.PolicyDrops != 16 || stats.Delivered != 0 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 4, 16, 0", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
	expectNumbers(t, ch, 0, 4)
	writeNumbers(t, s, 20, 22)
	expectNumbers(t, ch, 20, 22)
	if stats := c.Stats(); stats.Held != 0 || stats.PolicyDrops != 16 || stats.Delivered != 6 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 0, 16, 6", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
}

func TestDropOldest(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(4, datagram.DropOldest))
	s := plainSocket(t, c)
	ch := c.Recv()
	writeNumbers(t, s, 0, 20)
	eventually(t, "all received", func() bool { return c.Stats().Received == 20 })
	if stats := c.Stats(); stats.Held != 4 || stats.PolicyDrops != 16 || stats.Delivered != 0 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 4, 16, 0", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
	expectNumbers(t, ch, 16, 20)
	if stats := c.Stats(); stats.Held != 0 || stats.PolicyDrops != 16 || stats.Delivered != 4 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 0, 16, 4", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
}

// With Block a slow reader loses what does not fit into the system's buffer, and
// the first of all that was sent is what it gets.
func TestBlockLeavesDropsToTheSystem(t *testing.T) {
	const sent = 2000
	c := loopback(t, datagram.WithRecvQueue(4, datagram.Block), datagram.WithReadBuffer(20_000))
	s := plainSocket(t, c)
	ch := c.Recv()
	writeNumbers(t, s, 0, 4)
	held(t, c, 4)
	writeNumbers(t, s, 4, sent)
	// The loopback interface has delivered or dropped a datagram when Write returns.
	before := c.Stats()
	if before.KernelDrops == 0 || before.PolicyDrops != 0 {
		t.Fatalf("KernelDrops %d, PolicyDrops %d, want some, 0", before.KernelDrops, before.PolicyDrops)
	}
	arrived := sent - int(before.KernelDrops)
	for range arrived {
		text(t, ch)
	}
	stats := c.Stats()
	if stats.Received != uint64(arrived) || stats.KernelDrops != before.KernelDrops || stats.Held != 0 {
		t.Errorf("%+v, want %d received", stats, arrived)
	}
	c.Close()
	if got := c.Stats().KernelDrops; got != before.KernelDrops {
		t.Errorf("KernelDrops after Close is %d, want %d", got, before.KernelDrops)
	}
}

// What is left of a batch when the policy drops has its memory given back.
func TestDropPoliciesWithAReader(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.DropNewest, datagram.DropOldest} {
		c := loopback(t, datagram.WithRecvQueue(2, policy))
		s := plainSocket(t, c)
		ch := c.Recv()
		var read uint64
		reading := starts(func() {
			for d := range ch {
				d.Release()
				read++
			}
		})
		for i := range 20 {
			writeNumbers(t, s, i*100, i*100+100)
			eventually(t, "all received", func() bool { return c.Stats().Received == uint64(i*100+100) })
			checkLedger(t, c.Stats())
		}
		c.StopRecv()
		await(t, "the reader", reading)
		stats := c.Stats()
		if stats.Delivered != read || stats.Delivered+stats.PolicyDrops != 2000 {
			t.Errorf("policy %d: read %d, %+v", policy, read, stats)
		}
	}
}
