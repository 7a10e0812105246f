package datagram_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram"
)

// serving runs Serve beside the test.
func serving(ctx context.Context, c *datagram.Conn, handle func(datagram.Datagram)) <-chan error {
	result := make(chan error, 1)
	go func() { result <- c.Serve(ctx, handle) }()
	return result
}

// serves waits until a Serve that was started is in force: until then Recv would be
// taken. It costs the handler one datagram.
func serves(t *testing.T, s net.Conn, handled <-chan string) {
	t.Helper()
	if _, err := s.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "the handler", handled); got != "begin" {
		t.Fatalf("handled %q", got)
	}
}

// noting returns a handler that passes on the text of what it gets.
func noting(handled chan<- string) func(datagram.Datagram) {
	return func(d datagram.Datagram) {
		text := string(d.Payload)
		d.Release()
		handled <- text
	}
}

func TestServeHandlesOnTheCallingGoroutineInOrder(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	const total = 100
	writeNumbers(t, s, 0, total)
	var handled []string
	finishes(t, "Serve", func() {
		me, inside := goroutine(), false
		err := c.Serve(background, func(d datagram.Datagram) {
			if goroutine() != me || inside {
				t.Error("not on the calling goroutine, or not one at a time")
			}
			inside = true
			if d.Addr != addrOf(s) {
				t.Errorf("sender %v, want %v", d.Addr, addrOf(s))
			}
			handled = append(handled, string(d.Payload))
			d.Release()
			if len(handled) == total {
				c.StopRecv()
			}
			inside = false
		})
		expectError(t, "Serve", err, nil)
	})
	for i, got := range handled {
		if got != fmt.Sprint(i) {
			t.Fatalf("handled %q, want %d", got, i)
		}
	}
}

func TestServeReturnsWhyItEnded(t *testing.T) {
	begin := func(t *testing.T, ctx context.Context) (*datagram.Conn, <-chan error) {
		c := loopback(t)
		handled := make(chan string, 1)
		result := serving(ctx, c, noting(handled))
		serves(t, plainSocket(t, c), handled)
		return c, result
	}
	t.Run("the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(background)
		c, result := begin(t, ctx)
		notYet(t, "Serve", result)
		cancel()
		expectBare(t, "Serve", await(t, "Serve", result), context.Canceled)
		expectError(t, "Err", c.Err(), nil)
		if c.Active() {
			t.Error("still active")
		}
	})
	t.Run("StopRecv", func(t *testing.T) {
		c, result := begin(t, background)
		c.StopRecv()
		expectError(t, "Serve", await(t, "Serve", result), nil)
	})
	t.Run("Close", func(t *testing.T) {
		c, result := begin(t, background)
		c.Close()
		expectError(t, "Serve", await(t, "Serve", result), net.ErrClosed)
	})
	t.Run("an error", func(t *testing.T) {
		c := loopback(t)
		breakSocket(t, c)
		result := serving(background, c, func(datagram.Datagram) { t.Error("handled a datagram") })
		expectError(t, "Serve", await(t, "Serve", result), syscall.ENOTSOCK)
		expectError(t, "Err", c.Err(), syscall.ENOTSOCK)
	})
}

func TestServeRefuses(t *testing.T) {
	c := loopback(t)
	never := func(datagram.Datagram) { t.Error("handled a datagram") }
	ended, cancel := context.WithCancel(background)
	cancel()
	expectBare(t, "a context that has ended", c.Serve(ended, never), context.Canceled)
	expectError(t, "no context", c.Serve(nil, never), syscall.EINVAL) //nolint:staticcheck // nil is the case under test
	expectError(t, "no handler", c.Serve(background, nil), syscall.EINVAL)

	c.Recv()
	expectError(t, "while Recv is receiving", c.Serve(background, never), syscall.EALREADY)
	expectError(t, "Err of the Recv that goes on", c.Err(), nil)
	c.Close()
	expectError(t, "after Close", c.Serve(background, never), net.ErrClosed)
}

func TestRecvAndServeWhileServing(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	handled := make(chan string, 1)
	result := serving(background, c, noting(handled))
	serves(t, s, handled)

	expectClosed(t, c.Recv())
	expectError(t, "Err of Recv", c.Err(), syscall.EALREADY)
	finishes(t, "a second Serve", func() {
		err := c.Serve(background, func(datagram.Datagram) { t.Error("handled by the second") })
		expectError(t, "a second Serve", err, syscall.EALREADY)
	})
	writeNumbers(t, s, 7, 8)
	if got := await(t, "the handler", handled); got != "7" {
		t.Errorf("handled %q", got)
	}
	c.StopRecv()
	expectError(t, "Serve", await(t, "Serve", result), nil)

	// The refused Recv has left nothing behind.
	writeNumbers(t, s, 8, 9)
	expectNumbers(t, c.Recv(), 8, 9)
}

func TestStopRecvInsideAHandlerStartsNoFurtherCall(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 20)
	calls := 0
	finishes(t, "Serve", func() {
		c.Serve(background, func(d datagram.Datagram) {
			d.Release()
			if calls++; calls == 3 {
				expectError(t, "StopRecv", c.StopRecv(), nil)
			}
		})
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
	// What was taken together with those three is next, then what was not taken yet.
	writeNumbers(t, s, 20, 25)
	expectNumbers(t, c.Recv(), 3, 25)
}

func TestServeBeginsWithTheRemainder(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(4, datagram.Block))
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 30)
	ch := c.Recv()
	eventually(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	expectNumbers(t, ch, 0, 1)
	c.StopRecv()
	writeNumbers(t, s, 30, 35)
	var handled []string
	finishes(t, "Serve", func() {
		c.Serve(background, func(d datagram.Datagram) {
			if handled = append(handled, string(d.Payload)); len(handled) == 34 {
				c.StopRecv()
			}
		})
	})
	expectClosed(t, ch)
	for i, got := range handled {
		if got != fmt.Sprint(i+1) {
			t.Fatalf("handled %v, want 1 to 34", handled)
		}
	}
}

// A handler may end its own session and begin another way of receiving.
func TestRecvFromInsideAHandlerAfterStopRecv(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 5)
	channels := make(chan (<-chan datagram.Datagram), 1)
	result := serving(background, c, func(datagram.Datagram) {
		c.StopRecv()
		channels <- c.Recv()
	})
	expectNumbers(t, await(t, "Recv", channels), 1, 5)
	expectError(t, "Serve", await(t, "Serve", result), nil)
}

// A Serve whose session ends while the handler of an earlier one still runs does
// not wait for that.
func TestSessionsThatChangeWhileAHandlerRuns(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	inside, proceed := make(chan struct{}), make(chan struct{})
	first := serving(background, c, func(datagram.Datagram) {
		close(inside)
		<-proceed
	})
	writeNumbers(t, s, 0, 1)
	await(t, "the handler", inside)
	c.StopRecv()
	notYet(t, "Serve returned before its handler", first)
	second := serving(background, c, func(datagram.Datagram) { t.Error("handled by the second") })
	eventually(t, "the second session", c.Active)
	c.StopRecv()
	expectError(t, "the second Serve", await(t, "the second Serve", second), nil)
	ctx, cancel := context.WithCancel(background)
	third := serving(ctx, c, func(datagram.Datagram) { t.Error("handled by the third") })
	eventually(t, "the third session", c.Active)
	cancel()
	expectBare(t, "the third Serve", await(t, "the third Serve", third), context.Canceled)
	ch := c.Recv()
	close(proceed)
	expectError(t, "the first Serve", await(t, "Serve", first), nil)
	writeNumbers(t, s, 1, 4)
	expectNumbers(t, ch, 1, 4)
}

func TestServeAfterAPanicOfItsHandler(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 3)
	finishes(t, "Serve", func() {
		defer func() {
			if r := recover(); r != "as planned" {
				t.Errorf("recovered %v", r)
			}
		}()
		c.Serve(background, func(datagram.Datagram) { panic("as planned") })
	})
	expectNumbers(t, c.Recv(), 1, 3)
}

// After Done no handler runs, and what was taken with the datagram that closed
// the handle is counted.
func TestCloseInsideAHandler(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 50)
	var calls atomic.Int32
	result := serving(background, c, func(datagram.Datagram) {
		calls.Add(1)
		expectError(t, "Close", c.Close(), nil)
		select {
		case <-c.Done():
			t.Error("Done inside a handler")
		default:
		}
	})
	expectError(t, "Serve", await(t, "Serve", result), net.ErrClosed)
	await(t, "Done", c.Done())
	stats := c.Stats()
	if calls.Load() != 1 || stats.Delivered != 1 || stats.CloseDrops != stats.Received-1 || stats.Held != 0 {
		t.Errorf("%d calls, %+v", calls.Load(), stats)
	}
}

// Replies of a handler leave when its batch ends: every one of them arrives, in order.
func TestServeSendsReplies(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 100)
	var order []string
	result := serving(background, c, func(d datagram.Datagram) {
		defer d.Release()
		if err := c.Send(background, d.Reply(d.Payload)); err != nil {
			t.Error(err)
		}
	})
	for range 100 {
		b := make([]byte, 16)
		n, err := s.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, string(b[:n]))
	}
	for i, got := range order {
		if got != fmt.Sprint(i) {
			t.Fatalf("replies %v", slices.Clip(order))
		}
	}
	c.StopRecv()
	await(t, "Serve", result)
}
