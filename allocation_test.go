package datagram_test

import (
	"context"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"example.com/datagram"
)

// allocations returns how many a call of f makes on average.
func allocations(t *testing.T, f func()) float64 {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	f() // what is made once and kept
	return testing.AllocsPerRun(200, f)
}

// together is how many datagrams a measured round moves: an average below this share of
// an allocation is none.
const together = 30

func TestSendAndRecvAllocateNothing(t *testing.T) {
	from, to := loopback(t), loopback(t)
	ch := to.Recv()
	for name, size := range map[string]int{"small": 64, "large": 1200} {
		d := datagram.To(to.LocalAddr(), make([]byte, size))
		per := allocations(t, func() {
			for range together {
				if err := from.Send(background, d); err != nil {
					t.Fatal(err)
				}
			}
			for range together {
				received := <-ch
				received.Release()
			}
		}) / together
		if per > 0.2 {
			t.Errorf("%s: %.2f allocations a datagram", name, per)
		}
	}
}

func TestSendFuncAllocatesNothing(t *testing.T) {
	c := loopback(t)
	d := datagram.To(addrOf(unboundSocket(t)), make([]byte, 64))
	completed := make(chan struct{}, together)
	done := func(error) { completed <- struct{}{} }
	per := allocations(t, func() {
		for range together {
			if err := c.SendFunc(background, d, done); err != nil {
				t.Fatal(err)
			}
		}
		for range together {
			<-completed
		}
	}) / together
	if per > 0.2 {
		t.Errorf("%.2f allocations a datagram", per)
	}
}

func TestSendBuffersAndTrySendAllocateNothing(t *testing.T) {
	c := loopback(t)
	d := datagram.To(addrOf(unboundSocket(t)), make([]byte, 64))
	bufs := [][]byte{make([]byte, 10), make([]byte, 20)}
	batch := []datagram.Datagram{d, d, d}
	for name, call := range map[string]func() error{
		"TrySend":        func() error { _, err := c.TrySend(d); return err },
		"TrySendBuffers": func() error { _, err := c.TrySendBuffers(d, bufs); return err },
		"TrySendBatch":   func() error { _, err := c.TrySendBatch(batch); return err },
		"SendBuffers": func() error {
			if err := c.SendBuffers(background, d, bufs, nil); err != nil {
				return err
			}
			return c.Flush(background)
		},
	} {
		n := allocations(t, func() {
			for range together {
				// The worker may not have ended yet when Flush returns.
				if err := call(); err != nil && err != datagram.ErrWouldBlock {
					t.Fatal(name, err)
				}
			}
		}) / together
		limit := 0.2
		if name == "SendBuffers" {
			limit = 2 // a Flush that waits makes the channel that it waits on
		}
		if n > limit {
			t.Errorf("%s: %.2f allocations a call", name, n)
		}
	}
}

// The low-latency way: a handler that answers at once.
func TestServeAndTrySendAllocateNothing(t *testing.T) {
	roundTripsAllocateNothing(t, loopback(t), loopback(t), func(c *datagram.Conn, d datagram.Datagram) error {
		_, err := c.TrySend(d)
		return err
	})
}

// roundTripsAllocateNothing sends questions, one at a time, to a server that sends each back.
func roundTripsAllocateNothing(t *testing.T, server, client *datagram.Conn, send func(*datagram.Conn, datagram.Datagram) error) {
	t.Helper()
	result := serving(background, server, func(d datagram.Datagram) {
		if err := send(server, d.Reply(d.Payload)); err != nil {
			t.Error(err)
		}
		d.Release()
	})
	ch := client.Recv()
	question := datagram.To(server.LocalAddr(), make([]byte, 100))
	n := allocations(t, func() {
		if err := send(client, question); err != nil {
			t.Fatal(err)
		}
		d := <-ch
		d.Release()
	})
	if n > 0.2 {
		t.Errorf("%.2f allocations a round trip", n)
	}
	server.Close()
	await(t, "Serve", result)
}

// With a reader that is slower than the sender what waits between them costs
// nothing either.
func TestSlowReaderAllocatesNothing(t *testing.T) {
	from, to := loopback(t), loopback(t, datagram.WithRecvQueue(2, datagram.Block))
	ch := to.Recv()
	d := datagram.To(to.LocalAddr(), make([]byte, 64))
	per := allocations(t, func() {
		for range together {
			if err := from.Send(background, d); err != nil {
				t.Fatal(err)
			}
		}
		if err := from.Flush(background); err != nil {
			t.Fatal(err)
		}
		for range together {
			runtime.Gosched() // lets the channel fill up
			received := <-ch
			received.Release()
		}
	}) / together
	if per > 0.3 {
		t.Errorf("%.2f allocations a datagram", per)
	}
}

// Programs retry on these in loops.
func TestBareErrorsAllocateNothing(t *testing.T) {
	c, _, _ := stalled(t, datagram.WithSendQueue(1, 1000))
	mustQueue(t, c, "x")
	ended, cancel := context.WithCancel(background)
	cancel()
	d := datagram.Datagram{Payload: []byte("x")}
	batch := []datagram.Datagram{d}
	for name, test := range map[string]struct {
		call func() error
		want error
	}{
		"TryQueue":     {func() error { return c.TryQueue(d) }, datagram.ErrQueueFull},
		"TrySend":      {func() error { _, err := c.TrySend(d); return err }, datagram.ErrWouldBlock},
		"TrySendBatch": {func() error { _, err := c.TrySendBatch(batch); return err }, datagram.ErrWouldBlock},
		"Send":         {func() error { return c.Send(ended, d) }, context.Canceled},
	} {
		n := allocations(t, func() {
			if err := test.call(); err != test.want {
				t.Fatalf("%s: %v", name, err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}

	// With the queue empty it is the system that has no room.
	full, _, _ := stalled(t)
	n := allocations(t, func() {
		if _, err := full.TrySend(datagram.To(netip.AddrPort{}, d.Payload)); err != datagram.ErrWouldBlock {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("TrySend into a full socket: %v allocations", n)
	}
}

// What is dropped gives its memory back.
func TestDropsAllocateNothing(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.DropNewest, datagram.DropOldest} {
		c := loopback(t, datagram.WithRecvQueue(1, policy), datagram.WithReadBuffer(4<<20))
		s := plainSocket(t, c)
		ch := c.Recv()
		writeNumbers(t, s, 0, 1)
		eventually(t, "a full channel", func() bool { return len(ch) == 1 })
		payload := make([]byte, 9000) // too long to share memory with others
		per := allocations(t, func() {
			want := c.Stats().PolicyDrops + together
			for range together {
				if _, err := s.Write(payload); err != nil {
					t.Fatal(err)
				}
			}
			for c.Stats().PolicyDrops < want {
				time.Sleep(time.Millisecond) // asking allocates
			}
		}) / together
		if per > 1 {
			t.Errorf("policy %v: %.2f allocations a datagram", policy, per)
		}
	}
}
