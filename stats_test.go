package datagram_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"

	"example.com/datagram"
)

// Every snapshot adds up and no counter falls, while datagrams are sent, received and dropped
// in all the ways there are.
func TestEverySnapshotAddsUp(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.Block, datagram.DropNewest, datagram.DropOldest} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) {
			c := loopback(t, datagram.WithRecvQueue(2, policy), datagram.WithSendQueue(5, 500))
			to := datagram.To(c.LocalAddr(), []byte("to itself"))
			bad := datagram.To(netip.MustParseAddrPort("127.0.0.1:0"), []byte("nowhere"))
			end := make(chan struct{})
			var group sync.WaitGroup
			during := func(f func()) {
				group.Go(func() {
					for {
						select {
						case <-end:
							return
						default:
							f()
						}
					}
				})
			}
			during(func() {
				for d := range c.Recv() {
					d.Release()
				}
			})
			during(func() { c.StopRecv() })
			during(func() { c.Send(background, to) })
			during(func() { c.Send(background, bad) })
			during(func() { c.TrySend(to) })
			during(func() { c.TrySend(bad) })
			during(func() { c.TrySendBatch([]datagram.Datagram{to, to, bad, to}) })
			during(func() { c.TryQueue(to) })

			var watchers sync.WaitGroup
			for range 2 {
				watchers.Go(func() {
					before := c.Stats()
					everything := func() bool {
						return before.Sent > 0 && before.SendErrors > 0 && before.Received > 0 && before.Delivered > 0
					}
					for i := 0; i < 300 || !everything(); i++ {
						after := c.Stats()
						checkLedger(t, after)
						checkMonotonic(t, before, after)
						before = after
					}
				})
			}
			await(t, "the watchers", starts(watchers.Wait))
			close(end)
			c.StopRecv()
			c.Close()
			await(t, "the others", starts(group.Wait))
			after := c.Stats()
			if after.Queued != 0 {
				t.Errorf("%d queued after Close", after.Queued)
			}
			checkMonotonic(t, after, c.Stats())
		})
	}
}

// Counters say what was sent and received to the byte.
func TestCountersAreExact(t *testing.T) {
	from, to := loopback(t), loopback(t)
	ch := to.Recv()
	const n = 100
	size := 0
	for i := range n {
		payload := make([]byte, i%7*10)
		size += len(payload)
		if err := from.Send(background, datagram.To(to.LocalAddr(), payload)); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		text(t, ch)
	}
	if err := from.Flush(background); err != nil {
		t.Fatal(err)
	}
	sent, received := from.Stats(), to.Stats()
	if sent.Accepted != n || sent.Sent != n || sent.SentBytes != uint64(size) || sent.SendErrors != 0 || sent.Queued != 0 {
		t.Errorf("sent: %+v, want %d datagrams of %d bytes", sent, n, size)
	}
	if received.Received != n || received.Delivered != n || received.ReceivedBytes != uint64(size) || received.Held != 0 {
		t.Errorf("received: %+v, want %d datagrams of %d bytes", received, n, size)
	}
	for name, calls := range map[string]uint64{"SendCalls": sent.SendCalls, "ReceiveCalls": received.ReceiveCalls} {
		if calls == 0 || calls > n {
			t.Errorf("%s is %d for %d datagrams", name, calls, n)
		}
	}
}

// One datagram a system call where that is asked for, many where it is not.
func TestOffloadNoneMovesOneDatagramInACall(t *testing.T) {
	allOffloads(t)
	const n = 20
	calls := func(offload datagram.Offload) uint64 {
		c := loopback(t, datagram.WithOffload(offload))
		s := plainSocket(t, c)
		writeNumbers(t, s, 0, n)
		expectNumbers(t, c.Recv(), 0, n)
		return c.Stats().ReceiveCalls
	}
	if got := calls(datagram.OffloadNone); got != n {
		t.Errorf("%d calls without batches, want %d", got, n)
	}
	if got := calls(datagram.OffloadBatch); got >= n {
		t.Errorf("%d calls with batches", got)
	}
}

// What lies in the channel is Held, and Delivered once it is read.
func TestHeldUntilRead(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	ch := c.Recv()
	writeNumbers(t, s, 0, 5)
	held(t, c, 5)
	for i := range 5 {
		if stats := c.Stats(); stats.Delivered != uint64(i) || stats.Held != uint64(5-i) {
			t.Fatalf("Delivered %d, Held %d after %d reads of 5", stats.Delivered, stats.Held, i)
		}
		text(t, ch)
	}
}

// While a handler runs its datagram is delivered, and the others of the batch are Held.
func TestHeldWhileAHandlerRuns(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 6)
	calls := uint64(0)
	result := serving(background, c, func(datagram.Datagram) {
		calls++
		if stats := c.Stats(); stats.Delivered != calls || stats.Held != stats.Received-calls {
			t.Errorf("call %d: %+v", calls, stats)
		}
		if calls == 6 {
			c.StopRecv()
		}
	})
	expectError(t, "Serve", await(t, "Serve", result), nil)
}

// A datagram that moves from one channel to the next is counted once.
func TestCountersOfWhatIsResumed(t *testing.T) {
	c := loopback(t, datagram.WithMaxDatagramSize(4), datagram.WithRecvQueue(2, datagram.Block))
	s := plainSocket(t, c)
	for range 3 {
		if _, err := s.Write([]byte("cut off")); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		ch := c.Recv()
		eventually(t, "a full channel", func() bool { return len(ch) == cap(ch) })
		c.StopRecv()
	}
	ch := c.Recv()
	for range 3 {
		if got := text(t, ch); got != "cut " {
			t.Errorf("received %q", got)
		}
	}
	if stats := c.Stats(); stats.Truncated != 3 || stats.Received != 3 || stats.Delivered != 3 {
		t.Errorf("%+v, want 3 Received, Delivered and Truncated", stats)
	}
}

// Truncated counts those that were delivered: not what waits in the channel, and not what was taken out of it.
func TestTruncatedWereDelivered(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.Block, datagram.DropOldest} {
		c := loopback(t, datagram.WithRecvQueue(2, policy), datagram.WithMaxDatagramSize(1))
		s := plainSocket(t, c)
		ch := c.Recv()
		const count = 6
		for range count {
			if _, err := s.Write([]byte("long")); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "a full channel", func() bool {
			stats := c.Stats()
			return len(ch) == 2 && (policy == datagram.Block || stats.Received == count)
		})
		want := func(when string, n uint64) {
			t.Helper()
			if stats := c.Stats(); stats.Truncated != n || stats.Delivered != n {
				t.Errorf("policy %v, %s: Truncated %d, Delivered %d, want %d", policy, when, stats.Truncated, stats.Delivered, n)
			}
		}
		want("before the first", 0)
		<-ch
		want("after the first", 1)
		c.StopRecv()
		want("stopped", 1)
		ch = c.Recv()
		want("resumed", 1)
		<-ch
		want("after the second", 2)
		if policy == datagram.Block {
			for range count - 2 {
				<-ch
			}
			want("after the last", count)
		}
		if stats := c.Stats(); stats.ReceivedBytes != count {
			t.Errorf("%d bytes of %d datagrams cut to one", stats.ReceivedBytes, count)
		}
	}
}
