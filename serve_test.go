package datagram_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// serves waits until a Serve that was started is in force: until then Recv would be
// taken. It costs the handler one datagram.
func serves(t *testing.T, s net.Conn, handled <-chan string) {
	t.Helper()
	if _, err := s.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	if got := await.Value(t, "the handler", handled); got != "begin" {
		t.Fatalf("handled %q", got)
	}
}

func TestServeHandlesOnTheCallingGoroutineInOrder(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	const total = 100
	conntest.WriteNumbers(t, s, 0, total)
	var handled []string
	await.Return(t, "Serve", func() {
		me, inside := goroutine(), false
		err := c.Serve(background, func(d datagram.Datagram) {
			if goroutine() != me || inside {
				t.Error("not on the calling goroutine, or not one at a time")
			}
			inside = true
			if d.Addr != conntest.AddrOf(s) {
				t.Errorf("sender %v, want %v", d.Addr, conntest.AddrOf(s))
			}
			handled = append(handled, string(d.Payload))
			d.Release()
			if len(handled) == total {
				c.StopRecv()
			}
			inside = false
		})
		conntest.ExpectError(t, "Serve", err, nil)
	})
	for i, got := range handled {
		if got != fmt.Sprint(i) {
			t.Fatalf("handled %q, want %d", got, i)
		}
	}
}

func TestServeReturnsWhyItEnded(t *testing.T) {
	begin := func(t *testing.T, ctx context.Context) (*datagram.Conn, <-chan error) {
		c := conntest.Loopback(t)
		handled := make(chan string, 1)
		result := conntest.Serve(ctx, c, conntest.Noting(handled))
		serves(t, conntest.SocketTo(t, c), handled)
		return c, result
	}
	t.Run("the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		c, result := begin(t, ctx)
		await.NotYet(t, "Serve", result)
		cancel()
		conntest.ExpectBare(t, "Serve", await.Value(t, "Serve", result), context.Canceled)
		conntest.ExpectError(t, "Err", c.Err(), nil)
		if c.Active() {
			t.Error("still active")
		}
	})
	t.Run("StopRecv", func(t *testing.T) {
		c, result := begin(t, background)
		c.StopRecv()
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)
	})
	t.Run("Close", func(t *testing.T) {
		c, result := begin(t, background)
		c.Close()
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), net.ErrClosed)
	})
	t.Run("an error", func(t *testing.T) {
		c := conntest.Loopback(t)
		conntest.BreakSocket(t, c)
		result := conntest.Serve(background, c, func(datagram.Datagram) { t.Error("handled a datagram") })
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), syscall.ENOTSOCK)
		conntest.ExpectError(t, "Err", c.Err(), syscall.ENOTSOCK)
	})
}

func TestServeRefuses(t *testing.T) {
	c := conntest.Loopback(t)
	never := func(datagram.Datagram) { t.Error("handled a datagram") }
	ended, cancel := context.WithCancel(background)
	cancel()
	conntest.ExpectBare(t, "a context that has ended", c.Serve(ended, never), context.Canceled)
	conntest.ExpectError(t, "no context", c.Serve(nil, never), syscall.EINVAL) //nolint:staticcheck // nil is the case under test
	conntest.ExpectError(t, "no handler", c.Serve(background, nil), syscall.EINVAL)

	c.Recv()
	conntest.ExpectError(t, "while Recv is receiving", c.Serve(background, never), syscall.EALREADY)
	conntest.ExpectError(t, "Err of the Recv that goes on", c.Err(), nil)
	c.Close()
	conntest.ExpectError(t, "after Close", c.Serve(background, never), net.ErrClosed)
}

func TestRecvAndServeWhileServing(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	handled := make(chan string, 1)
	result := conntest.Serve(background, c, conntest.Noting(handled))
	serves(t, s, handled)

	await.Closed(t, "the channel", c.Recv())
	conntest.ExpectError(t, "Err of Recv", c.Err(), syscall.EALREADY)
	await.Return(t, "a second Serve", func() {
		err := c.Serve(background, func(datagram.Datagram) { t.Error("handled by the second") })
		conntest.ExpectError(t, "a second Serve", err, syscall.EALREADY)
	})
	conntest.WriteNumbers(t, s, 7, 8)
	if got := await.Value(t, "the handler", handled); got != "7" {
		t.Errorf("handled %q", got)
	}
	c.StopRecv()
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)

	// The refused Recv has left nothing behind.
	conntest.WriteNumbers(t, s, 8, 9)
	conntest.ExpectNumbers(t, c.Recv(), 8, 9)
}

func TestStopRecvInsideAHandlerStartsNoFurtherCall(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 20)
	calls := 0
	await.Return(t, "Serve", func() {
		c.Serve(background, func(d datagram.Datagram) {
			d.Release()
			if calls++; calls == 3 {
				conntest.ExpectError(t, "StopRecv", c.StopRecv(), nil)
			}
		})
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
	// What was taken together with those three is next, then what was not taken yet.
	conntest.WriteNumbers(t, s, 20, 25)
	conntest.ExpectNumbers(t, c.Recv(), 3, 25)
}

func TestServeBeginsWithTheRemainder(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(4, datagram.Block))
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 30)
	ch := c.Recv()
	await.Until(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	conntest.ExpectNumbers(t, ch, 0, 1)
	c.StopRecv()
	conntest.WriteNumbers(t, s, 30, 35)
	var handled []string
	await.Return(t, "Serve", func() {
		c.Serve(background, func(d datagram.Datagram) {
			if handled = append(handled, string(d.Payload)); len(handled) == 34 {
				c.StopRecv()
			}
		})
	})
	await.Closed(t, "the channel", ch)
	for i, got := range handled {
		if got != fmt.Sprint(i+1) {
			t.Fatalf("handled %v, want 1 to 34", handled)
		}
	}
}

// A handler may end its own session and begin another way of receiving.
func TestRecvFromInsideAHandlerAfterStopRecv(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 5)
	channels := make(chan (<-chan datagram.Datagram), 1)
	result := conntest.Serve(background, c, func(datagram.Datagram) {
		c.StopRecv()
		channels <- c.Recv()
	})
	conntest.ExpectNumbers(t, await.Value(t, "Recv", channels), 1, 5)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)
}

// A Serve whose session ends while the handler of an earlier one still runs does
// not wait for that.
func TestSessionsThatChangeWhileAHandlerRuns(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	inside, proceed := make(chan struct{}), make(chan struct{})
	first := conntest.Serve(background, c, func(datagram.Datagram) {
		close(inside)
		<-proceed
	})
	conntest.WriteNumbers(t, s, 0, 1)
	await.Signal(t, "the handler", inside)
	c.StopRecv()
	await.NotYet(t, "Serve returned before its handler", first)
	second := conntest.Serve(background, c, func(datagram.Datagram) { t.Error("handled by the second") })
	await.Until(t, "the second session", c.Active)
	c.StopRecv()
	conntest.ExpectError(t, "the second Serve", await.Value(t, "the second Serve", second), nil)
	ctx, cancel := context.WithCancel(background)
	third := conntest.Serve(ctx, c, func(datagram.Datagram) { t.Error("handled by the third") })
	await.Until(t, "the third session", c.Active)
	cancel()
	conntest.ExpectBare(t, "the third Serve", await.Value(t, "the third Serve", third), context.Canceled)
	ch := c.Recv()
	close(proceed)
	conntest.ExpectError(t, "the first Serve", await.Value(t, "Serve", first), nil)
	conntest.WriteNumbers(t, s, 1, 4)
	conntest.ExpectNumbers(t, ch, 1, 4)
}

func TestServeAfterAPanicOfItsHandler(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 3)
	await.Return(t, "Serve", func() {
		defer func() {
			if r := recover(); r != "as planned" {
				t.Errorf("recovered %v", r)
			}
		}()
		c.Serve(background, func(datagram.Datagram) { panic("as planned") })
	})
	conntest.ExpectNumbers(t, c.Recv(), 1, 3)
}

// After Done no handler runs, and what was taken with the datagram that closed
// the handle is counted.
func TestCloseInsideAHandler(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 50)
	var calls atomic.Int32
	result := conntest.Serve(background, c, func(datagram.Datagram) {
		calls.Add(1)
		conntest.ExpectError(t, "Close", c.Close(), nil)
		select {
		case <-c.Done():
			t.Error("Done inside a handler")
		default:
		}
	})
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), net.ErrClosed)
	await.Closed(t, "Done", c.Done())
	stats := c.Stats()
	if calls.Load() != 1 || stats.Delivered != 1 || stats.CloseDrops != stats.Received-1 || stats.Held != 0 {
		t.Errorf("%d calls, %+v", calls.Load(), stats)
	}
}

// Replies of a handler leave when its batch ends: every one of them arrives, in order.
func TestServeSendsReplies(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 100)
	var order []string
	result := conntest.Serve(background, c, func(d datagram.Datagram) {
		defer d.Release()
		if err := c.Send(background, d.Reply(d.Payload)); err != nil {
			t.Error(err)
		}
	})
	for range 100 {
		order = append(order, conntest.Read(t, s))
	}
	for i, got := range order {
		if got != fmt.Sprint(i) {
			t.Fatalf("replies %v", slices.Clip(order))
		}
	}
	c.StopRecv()
	await.Signal(t, "Serve", result)
}

// goroutine returns the name of the calling goroutine.
func goroutine() string {
	b := make([]byte, 64)
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b, false)]), " [")
	return name
}

// inBubble gives test a server and a client on a network where nothing takes time.
func inBubble(t *testing.T, test func(t *testing.T, server, client *datagram.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		var conns [2]*datagram.Conn
		for i := range conns {
			c, err := network.Listen(background, "udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns[i] = c
		}
		test(t, conns[0], conns[1])
	})
}

// Replies leave when what was received together has been handled, not when the timer for slow handlers finds them.
func TestServeSendsRepliesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *datagram.Conn) {
		const count = 3
		for range count {
			conntest.TrySend(t, client, datagram.To(server.LocalAddr(), []byte("question")))
		}
		synctest.Wait()
		began := time.Now()
		go func() {
			_ = server.Serve(background, func(d datagram.Datagram) { _ = server.Send(background, d.Reply([]byte("answer"))) })
		}()
		for range count {
			<-client.Recv()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the replies left after %v", took)
		}
	})
}

// A context that ends after its session, while the handler still runs, ends no later one.
func TestContextOfAnEndedSession(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *datagram.Conn) {
		ctx, cancel := context.WithCancel(background)
		handling, release, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			result <- server.Serve(ctx, func(datagram.Datagram) { close(handling); <-release })
		}()
		conntest.TrySend(t, client, datagram.To(server.LocalAddr(), nil))
		<-handling
		if err := server.StopRecv(); err != nil {
			t.Fatal(err)
		}
		server.Recv()
		cancel()
		synctest.Wait()
		if !server.Active() {
			t.Errorf("receiving has ended: %v", server.Err())
		}
		close(release)
		conntest.ExpectError(t, "Serve", <-result, nil)
	})
}

// When its context ends Serve calls the handler no more, and what it had taken comes next.
func TestServeEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, server, client *datagram.Conn) {
		const count = 10
		for range count {
			conntest.TrySend(t, client, datagram.To(server.LocalAddr(), nil))
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(background)
		calls := 0
		err := server.Serve(ctx, func(datagram.Datagram) {
			calls++
			cancel()
		})
		if err != context.Canceled || calls != 1 {
			t.Errorf("%v after %d calls, want %v after 1", err, calls, context.Canceled)
		}
		for range count - 1 {
			<-server.Recv()
		}
	})
}
