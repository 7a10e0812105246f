package datagram_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"example.com/datagram"
)

func TestFlushWaitsForWhatWasQueuedBefore(t *testing.T) {
	c, peer, full := stalled(t)
	mustQueue(t, c, "a", "b")
	flushed := make(chan error, 1)
	go func() { flushed <- c.Flush(background) }()
	notYet(t, "Flush", flushed)
	readFill(t, peer, full)
	expectError(t, "Flush", await(t, "Flush", flushed), nil)
	expectText(t, peer, "a")
	expectText(t, peer, "b")

	finishes(t, "Flush of nothing", func() { expectError(t, "Flush", c.Flush(background), nil) })
}

// What is queued later does not keep a Flush.
func TestFlushDoesNotWaitForLaterDatagrams(t *testing.T) {
	c, peer := unixPair(t)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	sending := starts(func() {
		for c.Send(ctx, unaddressed("x")) == nil {
		}
	})
	reading := starts(func() {
		b := make([]byte, 16)
		for ctx.Err() == nil {
			if _, err := peer.Read(b); err != nil {
				return
			}
		}
	})
	for range 20 {
		finishes(t, "Flush while others send", func() { expectError(t, "Flush", c.Flush(background), nil) })
	}
	cancel()
	await(t, "the sender", sending)
	c.Close()
	await(t, "Done", c.Done()) // closes the other end, which ends the reader
	peer.SetDeadline(time.Now())
	await(t, "the reader", reading)
}

// A waitedFor is a context that tells when somebody begins to wait for its end.
type waitedFor struct {
	context.Context
	asked chan struct{}
}

func (c waitedFor) Done() <-chan struct{} {
	select {
	case c.asked <- struct{}{}:
	default:
	}
	return c.Context.Done()
}

// Even when they lie in the queue together with what it waits for, and do not leave.
func TestFlushAmongDatagramsThatDoNotLeave(t *testing.T) {
	c, peer, full := stalled(t)
	mustQueue(t, c, "first") // the worker is busy with it while the others gather behind it
	flushed := make(chan error, 1)
	notYet(t, "a worker that begins", flushed)
	mustQueue(t, c, "awaited")
	waiting := waitedFor{background, make(chan struct{}, 1)}
	go func() { flushed <- c.Flush(waiting) }()
	await(t, "Flush, which waits", waiting.asked)
	late := string(make([]byte, 200)) // many of them share a block of the queue
	for range 250 {                   // more than the system has room for
		mustQueue(t, c, late)
	}
	readFill(t, peer, full)
	expectText(t, peer, "first")
	expectText(t, peer, "awaited")
	expectError(t, "Flush", await(t, "Flush of what has left", flushed), nil)
	if c.SendQueueCount() == 0 {
		t.Error("all has left: the test shows nothing")
	}
}

func TestFlushUntilItsContextEnds(t *testing.T) {
	c, _, _ := stalled(t)
	mustQueue(t, c, "a")
	finishes(t, "Flush", func() {
		ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
		defer cancel()
		expectBare(t, "Flush", c.Flush(ctx), context.DeadlineExceeded)
	})
	expectQueue(t, c, 1, 1) // and went on waiting
}

func TestShutdownSendsWhatIsQueuedThenCloses(t *testing.T) {
	c, peer, full := stalled(t, datagram.WithSendQueue(3, 1000))
	var completed atomic.Int32
	for _, payload := range []string{"a", "b", "c"} {
		err := c.SendFunc(background, unaddressed(payload), func(err error) {
			expectError(t, "done", err, nil)
			completed.Add(1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error, 1)
	go func() { waiting <- c.Send(background, unaddressed("waits for room")) }()
	notYet(t, "Send into a full queue", waiting)
	down := make(chan error, 1)
	go func() { down <- c.Shutdown(background) }()
	expectError(t, "the Send that waits", await(t, "Send", waiting), net.ErrClosed)
	expectError(t, "Send", c.Send(background, unaddressed("late")), net.ErrClosed)
	expectError(t, "TryQueue", c.TryQueue(unaddressed("late")), net.ErrClosed)
	_, err := c.TrySend(unaddressed("late"))
	expectError(t, "TrySend", err, net.ErrClosed)
	notYet(t, "Shutdown", down)

	// Receiving goes on meanwhile.
	if _, err := peer.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	ch := c.Recv()
	if got := text(t, ch); got != "still here" {
		t.Errorf("received %q", got)
	}

	readFill(t, peer, full)
	expectError(t, "Shutdown", await(t, "Shutdown", down), nil)
	for _, want := range []string{"a", "b", "c"} {
		expectText(t, peer, want)
	}
	if completed.Load() != 3 {
		t.Errorf("%d completed before Shutdown returned, want 3", completed.Load())
	}
	select {
	case <-c.Done():
	default:
		t.Error("Shutdown returned before Done")
	}
	expectClosed(t, ch)
	expectError(t, "Err", c.Err(), net.ErrClosed)
}

func TestShutdownWaitsForCompletionFunctions(t *testing.T) {
	c := loopback(t)
	inside, proceed := make(chan struct{}), make(chan struct{})
	err := c.SendFunc(background, datagram.To(addrOf(unboundSocket(t)), nil), func(error) {
		close(inside)
		<-proceed
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the completion function", inside)
	down := make(chan error, 1)
	go func() { down <- c.Shutdown(background) }()
	notYet(t, "Shutdown with a completion function running", down)
	close(proceed)
	expectError(t, "Shutdown", await(t, "Shutdown", down), nil)
}

func TestShutdownClosesWhenItsContextEnds(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"while it waits": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 20*time.Millisecond)
		},
		"before": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Unix(0, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, _ := stalled(t)
			completed := make(chan error, 1)
			if err := c.SendFunc(background, unaddressed("x"), func(err error) { completed <- err }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := end(background)
			defer cancel()
			finishes(t, "Shutdown", func() {
				expectBare(t, "Shutdown", c.Shutdown(ctx), context.DeadlineExceeded)
			})
			expectError(t, "done", await(t, "done", completed), net.ErrClosed)
			expectError(t, "Close", c.Close(), net.ErrClosed)
			await(t, "Done", c.Done())
		})
	}
}

// What a handler has sent and not flushed is part of what Shutdown sends.
func TestShutdownWhileAHandlerRuns(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	peer := unboundSocket(t)
	inside, proceed := make(chan struct{}), make(chan struct{})
	result := serving(background, c, func(datagram.Datagram) {
		if err := c.Send(background, datagram.To(addrOf(peer), []byte("x"))); err != nil {
			t.Error(err)
		}
		close(inside)
		<-proceed
	})
	writeNumbers(t, s, 0, 1)
	await(t, "the handler", inside)
	down := make(chan error, 1)
	go func() { down <- c.Shutdown(background) }()
	expectText(t, peer, "x")
	notYet(t, "Shutdown before the handler returned", down)
	close(proceed)
	expectError(t, "Shutdown", await(t, "Shutdown", down), nil)
	expectError(t, "Serve", await(t, "Serve", result), net.ErrClosed)
}
