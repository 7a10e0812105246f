package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// countUp returns datagrams to addr that say their numbers.
func countUp(addr netip.AddrPort, first, end int) []datagram.Datagram {
	var ds []datagram.Datagram
	for i := first; i < end; i++ {
		ds = append(ds, datagram.To(addr, fmt.Append(nil, i)))
	}
	return ds
}

// SendBatch queues all in order, also more than the queue holds, and keeps none of the caller's memory.
func TestSendBatch(t *testing.T) {
	for _, size := range []int{0, 1, 10, 3000} {
		for _, count := range []int{1, 7, 1024} {
			t.Run(fmt.Sprint(size, " through ", count), func(t *testing.T) {
				c := conntest.Loopback(t, datagram.WithSendQueue(count, 1<<20))
				to := conntest.Loopback(t, datagram.WithReadBuffer(8<<20), datagram.WithRecvQueue(4096, datagram.Block))
				ch := to.Recv()
				ds := countUp(to.LocalAddr(), 0, size)
				n, err := c.SendBatch(background, ds)
				if n != size || err != nil {
					t.Fatalf("%d, %v", n, err)
				}
				for _, d := range ds {
					clear(d.Payload)
				}
				clear(ds)
				conntest.ExpectNumbers(t, ch, 0, size)
				if s := c.Stats(); s.Accepted != uint64(size) || s.SendErrors != 0 {
					t.Errorf("accepted %d, failed %d", s.Accepted, s.SendErrors)
				}
			})
		}
	}
}

// What Send refuses at once ends it there; what the system refuses fails itself alone, later.
func TestSendBatchStops(t *testing.T) {
	failures := make(chan error, 10)
	c := conntest.Loopback(t, datagram.WithErrorHandler(func(err error) { failures <- err }))
	to := conntest.Loopback(t)
	ch := to.Recv()
	ds := countUp(to.LocalAddr(), 0, 6)
	ds[2].Payload = make([]byte, 70_000)
	ds[4].Addr = netip.AddrPort{}
	n, err := c.SendBatch(background, ds)
	if n != 4 || !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Fatalf("%d, %v", n, err)
	}
	for _, want := range []string{"0", "1", "3"} {
		if got := conntest.Text(t, ch); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	conntest.ExpectError(t, "what was too long", await.Value(t, "the error handler", failures), syscall.EMSGSIZE)
	if err := c.Connect(to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	n, err = c.SendBatch(background, append([]datagram.Datagram{conntest.ToPeer("connected")}, ds[0]))
	if n != 1 || !errors.Is(err, syscall.EISCONN) {
		t.Errorf("%d, %v", n, err)
	}
	if got := conntest.Text(t, ch); got != "connected" {
		t.Errorf("received %q", got)
	}
	select {
	case err := <-failures:
		t.Errorf("the error handler heard of %v", err)
	default:
	}
}

func TestSendBatchRefuses(t *testing.T) {
	c := conntest.New(t)
	var none context.Context
	expect := func(what string, ctx context.Context, ds []datagram.Datagram, want error) {
		t.Helper()
		n, err := c.SendBatch(ctx, ds)
		if n != 0 {
			t.Errorf("%s: %d accepted", what, n)
		}
		if want == context.Canceled {
			conntest.ExpectBare(t, what, err, want)
		} else {
			conntest.ExpectError(t, what, err, want)
		}
	}
	one := []datagram.Datagram{conntest.ToPeer("x")}
	expect("no context", none, one, syscall.EINVAL)
	expect("an ended context", conntest.EndedContext(t), one, context.Canceled)
	expect("nothing", background, nil, nil)
	if addr := c.LocalAddr(); addr.IsValid() {
		t.Errorf("nothing has bound the handle to %v", addr)
	}
	expect("no destination", background, one, syscall.EDESTADDRREQ)
	c.Close()
	expect("after Close", background, nil, net.ErrClosed)
	expect("after Close", background, one, net.ErrClosed)
}

// A full queue makes SendBatch wait, until ctx or the handle ends; what was accepted is treated as by Send.
func TestSendBatchWaitsForRoom(t *testing.T) {
	for name, end := range map[string]func(c *datagram.Conn, cancel context.CancelFunc){
		"context": func(_ *datagram.Conn, cancel context.CancelFunc) { cancel() },
		"Close":   func(c *datagram.Conn, _ context.CancelFunc) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(5, 1<<20))
			before := c.SendQueueCount()
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			type result struct {
				n   int
				err error
			}
			done := make(chan result, 1)
			go func() {
				n, err := c.SendBatch(ctx, slices.Repeat([]datagram.Datagram{conntest.ToPeer("x")}, 20))
				done <- result{n, err}
			}()
			await.Until(t, "the queue is full", func() bool { return c.SendQueueCount() == 5 })
			await.NotYet(t, "SendBatch", done)
			end(c, cancel)
			r := await.Value(t, "SendBatch", done)
			want := context.Canceled
			if name == "Close" {
				want = net.ErrClosed
			}
			if r.n != 5-before || !errors.Is(r.err, want) {
				t.Errorf("%d of room for %d accepted, %v", r.n, 5-before, r.err)
			}
			conntest.CheckLedger(t, c.Stats())
		})
	}
}

// What finds room together stays together, whatever rivals send.
func TestSendBatchIsNotInterrupted(t *testing.T) {
	// Linux may reorder what several processors send over loopback, a simulated network does not.
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	listen := func(address string) *datagram.Conn {
		// There is room for all.
		c, err := network.Listen(background, "udp4", address, datagram.WithRecvQueue(1<<14, datagram.Block), datagram.WithSendQueue(1<<14, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		conntest.CloseAtEnd(t, c)
		return c
	}
	c, to := listen("10.0.0.1:0"), listen("10.0.0.2:7")
	ch := to.Recv()
	const senders, rounds, size = 4, 30, 10
	var running []<-chan struct{}
	for range senders {
		running = append(running, await.Go(func() {
			for range rounds {
				if n, err := c.SendBatch(background, countUp(to.LocalAddr(), 0, size)); n != size || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			}
		}))
	}
	for range senders * rounds {
		conntest.ExpectNumbers(t, ch, 0, size)
	}
	for _, r := range running {
		await.Signal(t, "a sender", r)
	}
}

func TestSendBatchAllocatesNothing(t *testing.T) {
	c, to := conntest.Loopback(t), conntest.Loopback(t, datagram.WithRecvQueue(64, datagram.Block))
	ch := to.Recv()
	ds := countUp(to.LocalAddr(), 0, 20)
	n := testenv.Allocations(t, func() {
		if _, err := c.SendBatch(background, ds); err != nil {
			t.Fatal(err)
		}
		for range ds {
			d := <-ch
			d.Release()
		}
	})
	if n > 0.2 {
		t.Errorf("%.2f allocations a batch of %d", n, len(ds))
	}
}
