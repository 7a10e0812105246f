package datagram_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// drain calls DrainRecv concurrently.
func drain(ctx context.Context, c *datagram.Conn) <-chan error {
	result := make(chan error, 1)
	go func() { result <- c.DrainRecv(ctx) }()
	return result
}

// clogged returns a handle that has taken at least two datagrams and waits for its reader, who has taken
// none. The datagrams are the numbers from 0 to n-1. The system may hold the last of them.
func clogged(t *testing.T, n int) (c *datagram.Conn, sender *net.UDPConn, ch <-chan datagram.Datagram) {
	t.Helper()
	c = conntest.Loopback(t, datagram.WithRecvQueue(1, datagram.Block))
	sender = conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, sender, 0, n)
	ch = c.Recv()
	await.Until(t, "an offer", func() bool { return c.Stats().Held > 1 })
	return c, sender, ch
}

// expectRest reads a channel until it is closed, checks that it has the numbers from first on, and returns
// the number that follows.
func expectRest(t *testing.T, ch <-chan datagram.Datagram, first int) int {
	t.Helper()
	for {
		select {
		case d, ok := <-ch:
			if !ok {
				return first
			}
			if string(d.Payload) != fmt.Sprint(first) {
				t.Fatalf("received %q, want %d", d.Payload, first)
			}
			d.Release()
			first++
		case <-await.Context(t).Done():
			t.Fatal("the channel stays open")
		}
	}
}

func TestDrainRecvFillsTheChannelAndClosesIt(t *testing.T) {
	const n = 10
	c, sender, ch := clogged(t, n)
	taken := int(c.Stats().Held)
	drained := drain(background, c)
	await.NotYet(t, "DrainRecv with an undelivered datagram", drained)
	conntest.WriteNumbers(t, sender, n, 2*n)
	if c.Recv() != ch {
		t.Error("another channel while draining")
	}
	for i := range taken - 1 {
		conntest.ExpectNumbers(t, ch, i, i+1)
	}
	// The last one is in the channel.
	conntest.ExpectError(t, "DrainRecv", await.Value(t, "DrainRecv", drained), nil)
	if next := expectRest(t, ch, taken-1); next != taken {
		t.Errorf("received %d datagrams, had taken %d", next, taken)
	}
	conntest.ExpectError(t, "Err", c.Err(), nil)
	if c.Active() {
		t.Error("still active")
	}
	conntest.ExpectNumbers(t, c.Recv(), taken, 2*n) // the system has kept them
}

func TestDrainRecvOfAnIdleHandle(t *testing.T) {
	c := conntest.Loopback(t)
	sender := conntest.SocketTo(t, c)
	ch := c.Recv()
	conntest.WriteNumbers(t, sender, 0, 1)
	conntest.ExpectNumbers(t, ch, 0, 1)
	await.Return(t, "DrainRecv", func() { conntest.ExpectError(t, "DrainRecv", c.DrainRecv(background), nil) })
	await.Closed(t, "the channel", ch)
	conntest.WriteNumbers(t, sender, 1, 2)
	conntest.ExpectNumbers(t, c.Recv(), 1, 2)
}

func TestDrainRecvOfServe(t *testing.T) {
	for name, serve := range map[string]func(*datagram.Conn, func(datagram.Datagram)) error{
		"Serve": func(c *datagram.Conn, handle func(datagram.Datagram)) error { return c.Serve(background, handle) },
		"ServeBatch": func(c *datagram.Conn, handle func(datagram.Datagram)) error {
			return c.ServeBatch(background, func(batch []datagram.Datagram) {
				for _, d := range batch {
					handle(d)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 20
			c := conntest.Loopback(t)
			sender := conntest.SocketTo(t, c)
			conntest.WriteNumbers(t, sender, 0, n)
			entered, leave := make(chan struct{}, n), make(chan struct{})
			var running, handled atomic.Int64
			served := make(chan error, 1)
			go func() {
				served <- serve(c, func(d datagram.Datagram) {
					running.Add(1)
					defer running.Add(-1)
					if got := handled.Add(1) - 1; string(d.Payload) != fmt.Sprint(got) {
						t.Errorf("handled %q, want %d", d.Payload, got)
					}
					d.Release()
					entered <- struct{}{}
					<-leave
				})
			}()
			await.Value(t, "a handler call", entered)
			drained := drain(background, c)
			await.NotYet(t, "DrainRecv while a handler runs", drained)
			close(leave)
			conntest.ExpectError(t, "DrainRecv", await.Value(t, "DrainRecv", drained), nil)
			if running.Load() != 0 {
				t.Error("a handler runs after DrainRecv")
			}
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
			if stats := c.Stats(); stats.Held != 0 || stats.Received != uint64(handled.Load()) {
				t.Errorf("handled %d datagrams: %v", handled.Load(), stats)
			}
			conntest.ExpectNumbers(t, c.Recv(), int(handled.Load()), n)
		})
	}
}

func TestDrainRecvEndsEarly(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(c *datagram.Conn, cancel func())
		want error
	}{
		"context":  {func(_ *datagram.Conn, cancel func()) { cancel() }, context.Canceled},
		"StopRecv": {func(c *datagram.Conn, _ func()) { c.StopRecv() }, nil},
		"Close":    {func(c *datagram.Conn, _ func()) { c.Close() }, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			const n = 5
			c, _, ch := clogged(t, n)
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			drained := []<-chan error{drain(ctx, c), drain(ctx, c)}
			another := drain(background, c)
			for _, d := range drained {
				await.NotYet(t, "DrainRecv", d)
			}
			test.end(c, cancel)
			for _, d := range drained {
				err := await.Value(t, "DrainRecv", d)
				if test.want == context.Canceled {
					conntest.ExpectBare(t, "DrainRecv", err, test.want)
				} else {
					conntest.ExpectError(t, "DrainRecv", err, test.want)
				}
			}
			if test.want == context.Canceled {
				test.want = nil // for the other, as after StopRecv
			}
			conntest.ExpectError(t, "another DrainRecv", await.Value(t, "another DrainRecv", another), test.want)
			if name == "Close" {
				expectRest(t, ch, 0)
				return
			}
			next := expectRest(t, ch, 0)
			conntest.ExpectNumbers(t, c.Recv(), next, n)
		})
	}
}

// TestDrainRecvEndsNoLaterSession receives again as soon as calls of DrainRecv have been given up.
func TestDrainRecvEndsNoLaterSession(t *testing.T) {
	const n = 5
	for range 100 {
		c, _, ch := clogged(t, n)
		ctx, cancel := context.WithCancel(background)
		drained := []<-chan error{drain(ctx, c), drain(ctx, c), drain(ctx, c)}
		runtime.Gosched()
		cancel()
		for _, d := range drained {
			conntest.ExpectBare(t, "DrainRecv", await.Value(t, "DrainRecv", d), context.Canceled)
		}
		conntest.ExpectNumbers(t, c.Recv(), expectRest(t, ch, 0), n)
		conntest.ExpectError(t, "Close", c.Close(), nil)
	}
}

func TestDrainRecvWithAnEndedContext(t *testing.T) {
	const n = 5
	c, _, ch := clogged(t, n)
	conntest.ExpectBare(t, "DrainRecv", c.DrainRecv(conntest.EndedContext(t)), context.Canceled)
	conntest.ExpectNumbers(t, c.Recv(), expectRest(t, ch, 0), n)
}

func TestDrainRecvRefuses(t *testing.T) {
	c := conntest.Loopback(t)
	conntest.ExpectError(t, "without receiving", c.DrainRecv(background), nil)
	conntest.CheckErrno(t, c.DrainRecv(nil), syscall.EINVAL) //nolint:staticcheck // a mistake that must not panic
	conntest.ExpectError(t, "without a socket", conntest.New(t).DrainRecv(background), nil)
	c.Close()
	conntest.CheckErrno(t, c.DrainRecv(background), net.ErrClosed)
}

// Inside a handler DrainRecv waits for itself, until its context ends.
func TestDrainRecvInsideAHandler(t *testing.T) {
	c := conntest.Loopback(t)
	conntest.WriteNumbers(t, conntest.SocketTo(t, c), 0, 2)
	ctx, cancel := context.WithCancel(background)
	results := make(chan error, 2)
	served := conntest.Serve(background, c, func(datagram.Datagram) {
		drained := drain(ctx, c)
		await.NotYet(t, "DrainRecv inside a handler", drained)
		cancel()
		results <- <-drained
	})
	conntest.ExpectBare(t, "DrainRecv", await.Value(t, "DrainRecv", results), context.Canceled)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
	conntest.ExpectNumbers(t, c.Recv(), 1, 2)
}

// A handler that panics ends receiving, and with it DrainRecv.
func TestDrainRecvOfAPanickingHandler(t *testing.T) {
	c := conntest.Loopback(t)
	conntest.WriteNumbers(t, conntest.SocketTo(t, c), 0, 1)
	entered, leave := make(chan struct{}), make(chan struct{})
	panicked := await.Go(func() {
		defer func() { _ = recover() }()
		c.Serve(background, func(datagram.Datagram) {
			close(entered)
			<-leave
			panic("handler")
		})
	})
	await.Closed(t, "a handler call", entered)
	drained := drain(background, c)
	await.NotYet(t, "DrainRecv", drained)
	close(leave)
	conntest.ExpectError(t, "DrainRecv", await.Value(t, "DrainRecv", drained), nil)
	await.Closed(t, "Serve", panicked)
}

// Receiving is drained and resumed while datagrams come in. None is lost, and they stay in order.
func TestDrainRecvLosesNothing(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	c := conntest.Loopback(t, datagram.WithRecvQueue(4, datagram.Block))
	sender := conntest.SocketTo(t, c)
	sent := 0
	received := 0
	for round := range rounds {
		if sent-received < 150 { // more might not fit into the system's buffer
			conntest.WriteNumbers(t, sender, sent, sent+20)
			sent += 20
		}
		if round%3 == 0 {
			served := conntest.Serve(background, c, func(d datagram.Datagram) {
				if string(d.Payload) != fmt.Sprint(received) {
					t.Errorf("handled %q, want %d", d.Payload, received)
				}
				received++
				d.Release()
			})
			await.Until(t, "Serve", c.Active)
			conntest.ExpectError(t, "DrainRecv", await.Value(t, "DrainRecv", drain(background, c)), nil)
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
			continue
		}
		ch := c.Recv()
		drained := drain(background, c)
		received = expectRest(t, ch, received)
		conntest.ExpectError(t, "DrainRecv", await.Value(t, "DrainRecv", drained), nil)
	}
	conntest.ExpectNumbers(t, c.Recv(), received, sent)
}

// With PacketConn, those that read get what was taken; the read that finds nothing more ends.
func TestDrainRecvOfReads(t *testing.T) {
	c := conntest.Loopback(t)
	if batch := c.Capabilities().Batch; !batch.Active {
		t.Skip("a read takes no more than it returns: ", batch.Reason)
	}
	sender, reader := conntest.SocketTo(t, c), c.PacketConn()
	read := func(want string) {
		t.Helper()
		p := make([]byte, 10)
		n, err := reader.Read(p)
		if err != nil || string(p[:n]) != want {
			t.Fatalf("read %q, %v, want %q", p[:n], err, want)
		}
	}
	n := 0
	for taken := uint64(0); taken < 2; n++ { // until the handle has taken more than it was asked for
		conntest.WriteNumbers(t, sender, 2*n, 2*n+2)
		read(fmt.Sprint(n))
		taken = c.Stats().Held
	}
	held := int(c.Stats().Held)
	drained := drain(background, c)
	await.NotYet(t, "DrainRecv with unread datagrams", drained)
	for i := range held {
		read(fmt.Sprint(n + i))
	}
	conntest.ExpectError(t, "DrainRecv", await.Value(t, "DrainRecv", drained), nil)
	if c.Active() {
		t.Error("still active")
	}
	conntest.ExpectError(t, "DrainRecv again", c.DrainRecv(background), nil)
	read(fmt.Sprint(n + held)) // the system has kept it
}

func TestDrainRecvOfAWaitingRead(t *testing.T) {
	c := conntest.Loopback(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.PacketConn().Read(make([]byte, 1))
		ended <- err
	}()
	await.Until(t, "a reader", c.Active)
	conntest.ExpectError(t, "DrainRecv", c.DrainRecv(background), nil)
	conntest.CheckErrno(t, await.Value(t, "Read", ended), syscall.ECANCELED)
}
