package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// together is how many datagrams a measured round moves: an average below this share of
// an allocation is none.
const together = 30

func TestSendAndRecvAllocateNothing(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t)
	ch := to.Recv()
	for name, size := range map[string]int{"small": 64, "large": 1200} {
		d := datagram.To(to.LocalAddr(), make([]byte, size))
		per := testenv.Allocations(t, func() {
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
	c := conntest.Loopback(t)
	d := datagram.To(conntest.AddrOf(conntest.Socket(t)), make([]byte, 64))
	completed := make(chan struct{}, together)
	done := func(error) { completed <- struct{}{} }
	per := testenv.Allocations(t, func() {
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
	c := conntest.Loopback(t)
	d := datagram.To(conntest.AddrOf(conntest.Socket(t)), make([]byte, 64))
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
		n := testenv.Allocations(t, func() {
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
	roundTripsAllocateNothing(t, conntest.Loopback(t), conntest.Loopback(t), func(c *datagram.Conn, d datagram.Datagram) error {
		_, err := c.TrySend(d)
		return err
	})
}

// roundTripsAllocateNothing sends questions, one at a time, to a server that sends each back.
func roundTripsAllocateNothing(t *testing.T, server, client *datagram.Conn, send func(*datagram.Conn, datagram.Datagram) error) {
	t.Helper()
	result := conntest.Serve(background, server, func(d datagram.Datagram) {
		if err := send(server, d.Reply(d.Payload)); err != nil {
			t.Error(err)
		}
		d.Release()
	})
	ch := client.Recv()
	question := datagram.To(server.LocalAddr(), make([]byte, 100))
	n := testenv.Allocations(t, func() {
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
	await.Signal(t, "Serve", result)
}

// To look for network errors that there are not costs nothing.
func TestNetworkErrorsAllocateNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("network errors are for Linux")
	}
	server, client := conntest.Loopback(t, datagram.WithNetworkErrors()), conntest.Loopback(t, datagram.WithNetworkErrors())
	roundTripsAllocateNothing(t, server, client, func(c *datagram.Conn, d datagram.Datagram) error { return c.Send(background, d) })
}

// With a reader that is slower than the sender what waits between them costs
// nothing either.
func TestSlowReaderAllocatesNothing(t *testing.T) {
	from, to := conntest.Loopback(t), conntest.Loopback(t, datagram.WithRecvQueue(2, datagram.Block))
	ch := to.Recv()
	d := datagram.To(to.LocalAddr(), make([]byte, 64))
	per := testenv.Allocations(t, func() {
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
	c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(1, 1000))
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
		n := testenv.Allocations(t, func() {
			if err := test.call(); err != test.want {
				t.Fatalf("%s: %v", name, err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}

	// With the queue empty it is the system that has no room.
	full, _, _ := conntest.Stalled(t)
	n := testenv.Allocations(t, func() {
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
		c := conntest.Loopback(t, datagram.WithRecvQueue(1, policy), datagram.WithReadBuffer(4<<20))
		s := conntest.SocketTo(t, c)
		ch := c.Recv()
		conntest.WriteNumbers(t, s, 0, 1)
		await.Until(t, "a full channel", func() bool { return len(ch) == 1 })
		payload := make([]byte, 9000) // too long to share memory with others
		per := testenv.Allocations(t, func() {
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

// What an idle receiving handle may cost: a goroutine and this much memory of
// the process.
const idleBudget = 12 << 10

func TestIdleHandles(t *testing.T) {
	// The runtime counts whole spans of stacks and of the heap. The gaps in them are chance, and another try has others.
	await.Until(t, fmt.Sprintf("at most %d bytes a handle", idleBudget), func() bool {
		each := idleHandles(t)
		t.Logf("%d bytes a handle", each)
		return each <= idleBudget || testenv.RaceEnabled
	})
}

// idleHandles makes handles that receive, lets them be busy, and returns what each takes when it is idle again.
func idleHandles(t *testing.T) int64 {
	t.Helper()
	const handles = 1000
	memory := func() uint64 {
		runtime.GC()
		runtime.GC() // pools are emptied in two steps
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapInuse + stats.StackInuse
	}
	goroutines, before := runtime.NumGoroutine(), memory()
	conns := make([]*datagram.Conn, 0, handles)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	var channels []<-chan datagram.Datagram
	for range handles {
		c, err := datagram.Listen(background, "udp4", "127.0.0.1:0")
		if errors.Is(err, syscall.EMFILE) {
			testenv.Skip(t, "too few file descriptors: "+err.Error())
		}
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		channels = append(channels, c.Recv())
	}
	// One that has been busy holds no more than one that never was.
	s := conntest.Socket(t)
	for i, c := range conns {
		for range 10 {
			if _, err := s.WriteToUDPAddrPort(make([]byte, 1000), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 {
			d := await.Value(t, "a datagram", channels[i])
			if err := c.Send(background, d.Reply(nil)); err != nil {
				t.Fatal(err)
			}
			d.Release()
		}
	}
	await.Until(t, "one goroutine a handle", func() bool { return runtime.NumGoroutine() <= goroutines+handles })
	each := (int64(memory()) - int64(before)) / handles
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		await.Closed(t, "Done", c.Done())
	}
	await.Until(t, "no goroutine after Close", func() bool { return runtime.NumGoroutine() <= goroutines })
	runtime.KeepAlive(channels)
	return each
}
