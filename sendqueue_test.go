package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// expectQueue checks the metrics of the send queue.
func expectQueue(t *testing.T, c *datagram.Conn, count, size int) {
	t.Helper()
	if c.SendQueueCount() != count || c.SendQueueSize() != size {
		t.Fatalf("queued: %d datagrams, %d bytes; want %d, %d", c.SendQueueCount(), c.SendQueueSize(), count, size)
	}
}

func mustQueue(t *testing.T, c *datagram.Conn, payloads ...string) {
	t.Helper()
	for _, payload := range payloads {
		if err := c.TryQueue(conntest.ToPeer(payload)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendCopiesThePayload(t *testing.T) {
	c, peer, full := conntest.Stalled(t)
	payload, first, second := []byte("payload"), []byte("one,"), []byte("two")
	if err := c.Send(background, datagram.Datagram{Payload: payload}); err != nil {
		t.Fatal(err)
	}
	if err := c.SendBuffers(background, conntest.ToPeer("zero,"), [][]byte{first, nil, second}, nil); err != nil {
		t.Fatal(err)
	}
	copy(payload, "spoiled")
	copy(first, "bad,")
	copy(second, "bad")
	conntest.ReadFill(t, peer, full)
	conntest.ExpectRead(t, peer, "payload")
	conntest.ExpectRead(t, peer, "zero,one,two")
}

func TestSendKeepsTheOrderToEachDestination(t *testing.T) {
	const destinations, each = 8, 25
	c := conntest.Loopback(t)
	var peers []*net.UDPConn
	for range destinations {
		peers = append(peers, conntest.Socket(t))
	}
	for i := range each {
		for _, peer := range peers {
			// Different sizes, so that what can be segmented and what cannot take turns.
			payload := fmt.Sprintf("%d %s", i, strings.Repeat(".", i%3))
			if err := c.Send(background, datagram.To(conntest.AddrOf(peer), []byte(payload))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, peer := range peers {
		for i := range each {
			conntest.ExpectRead(t, peer, fmt.Sprintf("%d %s", i, strings.Repeat(".", i%3)))
		}
	}
}

func TestSendBuffers(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	to := datagram.To(conntest.AddrOf(peer), nil)
	conntest.ExpectError(t, "no buffer", c.SendBuffers(background, to, nil, nil), syscall.EINVAL)
	conntest.ExpectError(t, "no buffer", c.SendBuffers(background, to, [][]byte{}, nil), syscall.EINVAL)
	for _, bufs := range [][][]byte{{nil}, {{}, {}}, {[]byte("a"), {}, []byte("b")}} {
		if err := c.SendBuffers(background, to, bufs, nil); err != nil {
			t.Fatal(err)
		}
	}
	to.Payload = []byte{}
	if err := c.SendBuffers(background, to, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"", "", "ab", ""} {
		conntest.ExpectRead(t, peer, want)
	}
}

func TestQueueBoundsAreInclusive(t *testing.T) {
	t.Run("count", func(t *testing.T) {
		c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(3, 1000))
		mustQueue(t, c, "a", "b", "c")
		expectQueue(t, c, 3, 3)
		conntest.ExpectBare(t, "the fourth", c.TryQueue(conntest.ToPeer("d")), datagram.ErrQueueFull)
		conntest.ExpectBare(t, "an empty one", c.TryQueue(conntest.ToPeer("")), datagram.ErrQueueFull)
		expectQueue(t, c, 3, 3)
	})
	t.Run("bytes", func(t *testing.T) {
		c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(100, 10))
		mustQueue(t, c, "1234", "123456")
		expectQueue(t, c, 2, 10)
		conntest.ExpectBare(t, "an eleventh byte", c.TryQueue(conntest.ToPeer("1")), datagram.ErrQueueFull)
		mustQueue(t, c, "") // no byte too many
		expectQueue(t, c, 3, 10)
	})
	t.Run("one byte too many", func(t *testing.T) {
		c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(100, 10))
		mustQueue(t, c, "1234")
		conntest.ExpectBare(t, "seven more", c.TryQueue(conntest.ToPeer("1234567")), datagram.ErrQueueFull)
		expectQueue(t, c, 1, 4)
	})
	t.Run("of one", func(t *testing.T) {
		c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(1, 1))
		mustQueue(t, c, "a")
		conntest.ExpectBare(t, "a second", c.TryQueue(conntest.ToPeer("b")), datagram.ErrQueueFull)
	})
	t.Run("of none", func(t *testing.T) {
		for _, bounds := range [][2]int{{0, 1}, {1, 0}, {-1, 1}, {1, -1}} {
			_, err := datagram.New(datagram.WithSendQueue(bounds[0], bounds[1]))
			conntest.ExpectError(t, fmt.Sprint(bounds), err, syscall.EINVAL)
		}
	})
}

func TestDatagramLargerThanTheBoundIsLetInAlone(t *testing.T) {
	c, peer, full := conntest.Stalled(t, datagram.WithSendQueue(10, 8))
	mustQueue(t, c, "large, much larger")
	expectQueue(t, c, 1, 18)
	conntest.ExpectBare(t, "another", c.TryQueue(conntest.ToPeer("x")), datagram.ErrQueueFull)
	conntest.ExpectBare(t, "an empty one", c.TryQueue(conntest.ToPeer("")), datagram.ErrQueueFull)
	conntest.ReadFill(t, peer, full)
	conntest.ExpectRead(t, peer, "large, much larger")

	// But not together with others.
	c, _, _ = conntest.Stalled(t, datagram.WithSendQueue(10, 8))
	mustQueue(t, c, "x")
	conntest.ExpectBare(t, "a large one after it", c.TryQueue(conntest.ToPeer("larger than 8")), datagram.ErrQueueFull)
}

func TestSendWaitsForRoom(t *testing.T) {
	for _, bounds := range []datagram.Option{datagram.WithSendQueue(2, 1000), datagram.WithSendQueue(100, 2)} {
		c, peer, full := conntest.Stalled(t, bounds)
		mustQueue(t, c, "a", "b")
		sent := make(chan error, 1)
		go func() { sent <- c.Send(background, conntest.ToPeer("c")) }()
		await.NotYet(t, "Send into a full queue", sent)
		expectQueue(t, c, 2, 2)
		conntest.ReadFill(t, peer, full)
		conntest.ExpectError(t, "Send", await.Value(t, "Send", sent), nil)
		for _, want := range []string{"a", "b", "c"} {
			conntest.ExpectRead(t, peer, want)
		}
	}
}

func TestSendWaitsUntilItsContextEnds(t *testing.T) {
	c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(1, 1000))
	mustQueue(t, c, "a")
	await.Return(t, "Send", func() {
		ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
		defer cancel()
		conntest.ExpectBare(t, "Send", c.Send(ctx, conntest.ToPeer("b")), context.DeadlineExceeded)
	})
	expectQueue(t, c, 1, 1)

	ctx, cancel := context.WithCancel(background)
	sent := make(chan error, 1)
	go func() {
		sent <- c.SendFunc(ctx, conntest.ToPeer("c"), func(error) { t.Error("done after an error") })
	}()
	await.NotYet(t, "Send into a full queue", sent)
	cancel()
	conntest.ExpectBare(t, "Send", await.Value(t, "Send", sent), context.Canceled)
	expectQueue(t, c, 1, 1)
}

func TestEndedContextIsRefusedBeforeAnythingElse(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	fresh, err := datagram.New()
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, fresh)
	to := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), []byte("x"))
	conntest.ExpectBare(t, "Send", fresh.Send(ctx, to), context.Canceled)
	conntest.ExpectBare(t, "SendFunc", fresh.SendFunc(ctx, to, func(error) { t.Error("done") }), context.Canceled)
	conntest.ExpectBare(t, "SendBuffers", fresh.SendBuffers(ctx, to, [][]byte{{1}}, nil), context.Canceled)
	conntest.ExpectBare(t, "no destination", fresh.Send(ctx, conntest.ToPeer("x")), context.Canceled)
	conntest.ExpectBare(t, "Flush", fresh.Flush(ctx), context.Canceled)
	if fresh.LocalAddr().IsValid() || fresh.Stats().Accepted != 0 {
		t.Error("it was sent")
	}
	for _, err := range []error{fresh.Send(nil, to), fresh.Flush(nil)} { //nolint:staticcheck // nil is the case under test
		conntest.ExpectError(t, "no context", err, syscall.EINVAL)
	}
}

// A queued datagram counts until the system has answered for it.
func TestQueueMetrics(t *testing.T) {
	c, peer, full := conntest.Stalled(t)
	expectQueue(t, c, 0, 0)
	if c.Active() {
		t.Error("active without anything to do")
	}
	mustQueue(t, c, "four", "", "seven b")
	expectQueue(t, c, 3, 11)
	if !c.Active() {
		t.Error("not active")
	}
	if s := c.Stats(); s.Queued != 3 || s.Accepted != uint64(full)+3 || s.Sent != uint64(full) {
		t.Errorf("%+v, want %d sent and 3 queued", s, full)
	}
	conntest.ReadFill(t, peer, full)
	conntest.ExpectRead(t, peer, "four")
	conntest.ExpectRead(t, peer, "")
	conntest.ExpectRead(t, peer, "seven b")
	await.Until(t, "an empty queue", func() bool { return c.SendQueueCount() == 0 && !c.Active() })
	expectQueue(t, c, 0, 0)
	if s := c.Stats(); s.SentBytes != uint64(4*full+11) || s.Sent != uint64(full+3) {
		t.Errorf("%+v, want %d bytes sent", s, 4*full+11)
	}
}

// What fails without a completion function goes to the error handler.
func TestErrorHandlerHearsOfFailedSends(t *testing.T) {
	failed := make(chan error, 10)
	c := conntest.Loopback(t, datagram.WithErrorHandler(func(err error) { failed <- err }))
	to := netip.MustParseAddrPort("127.255.255.255:9") // without WithBroadcast
	if err := c.Send(background, datagram.To(to, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	err := await.Value(t, "the error handler", failed)
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "write" || op.Addr == nil || op.Addr.String() != to.String() {
		t.Errorf("%#v does not say what failed", err)
	}
	conntest.ExpectError(t, "the error", err, syscall.EACCES)

	// With a completion function it is told of nothing.
	completed := make(chan error, 1)
	if err := c.SendFunc(background, datagram.To(to, nil), func(err error) { completed <- err }); err != nil {
		t.Fatal(err)
	}
	conntest.ExpectError(t, "done", await.Value(t, "done", completed), syscall.EACCES)
	if len(failed) != 0 {
		t.Error("the error handler heard of it too")
	}
	if s := c.Stats(); s.SendErrors != 2 {
		t.Errorf("SendErrors is %d, want 2", s.SendErrors)
	}
}

func TestFlushWaitsForWhatWasQueuedBefore(t *testing.T) {
	c, peer, full := conntest.Stalled(t)
	mustQueue(t, c, "a", "b")
	flushed := make(chan error, 1)
	go func() { flushed <- c.Flush(background) }()
	await.NotYet(t, "Flush", flushed)
	conntest.ReadFill(t, peer, full)
	conntest.ExpectError(t, "Flush", await.Value(t, "Flush", flushed), nil)
	conntest.ExpectRead(t, peer, "a")
	conntest.ExpectRead(t, peer, "b")

	await.Return(t, "Flush of nothing", func() { conntest.ExpectError(t, "Flush", c.Flush(background), nil) })
}

// What is queued later does not keep a Flush.
func TestFlushDoesNotWaitForLaterDatagrams(t *testing.T) {
	c, peer := conntest.UnixPair(t)
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	sending := await.Go(func() {
		for c.Send(ctx, conntest.ToPeer("x")) == nil {
		}
	})
	reading := await.Go(func() {
		b := make([]byte, 16)
		for ctx.Err() == nil {
			if _, err := peer.Read(b); err != nil {
				return
			}
		}
	})
	for range 20 {
		await.Return(t, "Flush while others send", func() { conntest.ExpectError(t, "Flush", c.Flush(background), nil) })
	}
	cancel()
	await.Signal(t, "the sender", sending)
	c.Close()
	await.Closed(t, "Done", c.Done()) // closes the other end, which ends the reader
	peer.SetDeadline(time.Now())
	await.Signal(t, "the reader", reading)
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
	c, peer, full := conntest.Stalled(t)
	mustQueue(t, c, "first") // the worker is busy with it while the others gather behind it
	flushed := make(chan error, 1)
	await.NotYet(t, "a worker that begins", flushed)
	mustQueue(t, c, "awaited")
	waiting := waitedFor{background, make(chan struct{}, 1)}
	go func() { flushed <- c.Flush(waiting) }()
	await.Signal(t, "Flush, which waits", waiting.asked)
	late := string(make([]byte, 200)) // many of them share a block of the queue
	for range 250 {                   // more than the system has room for
		mustQueue(t, c, late)
	}
	conntest.ReadFill(t, peer, full)
	conntest.ExpectRead(t, peer, "first")
	conntest.ExpectRead(t, peer, "awaited")
	conntest.ExpectError(t, "Flush", await.Value(t, "Flush of what has left", flushed), nil)
	if c.SendQueueCount() == 0 {
		t.Error("all has left: the test shows nothing")
	}
}

func TestFlushUntilItsContextEnds(t *testing.T) {
	c, _, _ := conntest.Stalled(t)
	mustQueue(t, c, "a")
	await.Return(t, "Flush", func() {
		ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
		defer cancel()
		conntest.ExpectBare(t, "Flush", c.Flush(ctx), context.DeadlineExceeded)
	})
	expectQueue(t, c, 1, 1) // and went on waiting
}

func TestShutdownSendsWhatIsQueuedThenCloses(t *testing.T) {
	c, peer, full := conntest.Stalled(t, datagram.WithSendQueue(3, 1000))
	var completed atomic.Int32
	for _, payload := range []string{"a", "b", "c"} {
		err := c.SendFunc(background, conntest.ToPeer(payload), func(err error) {
			conntest.ExpectError(t, "done", err, nil)
			completed.Add(1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting := make(chan error, 1)
	go func() { waiting <- c.Send(background, conntest.ToPeer("waits for room")) }()
	await.NotYet(t, "Send into a full queue", waiting)
	down := make(chan error, 1)
	go func() { down <- c.Shutdown(background) }()
	conntest.ExpectError(t, "the Send that waits", await.Value(t, "Send", waiting), net.ErrClosed)
	conntest.ExpectError(t, "Send", c.Send(background, conntest.ToPeer("late")), net.ErrClosed)
	conntest.ExpectError(t, "TryQueue", c.TryQueue(conntest.ToPeer("late")), net.ErrClosed)
	_, err := c.TrySend(conntest.ToPeer("late"))
	conntest.ExpectError(t, "TrySend", err, net.ErrClosed)
	await.NotYet(t, "Shutdown", down)

	// Receiving goes on meanwhile.
	if _, err := peer.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	ch := c.Recv()
	if got := conntest.Text(t, ch); got != "still here" {
		t.Errorf("received %q", got)
	}

	conntest.ReadFill(t, peer, full)
	conntest.ExpectError(t, "Shutdown", await.Value(t, "Shutdown", down), nil)
	for _, want := range []string{"a", "b", "c"} {
		conntest.ExpectRead(t, peer, want)
	}
	if completed.Load() != 3 {
		t.Errorf("%d completed before Shutdown returned, want 3", completed.Load())
	}
	select {
	case <-c.Done():
	default:
		t.Error("Shutdown returned before Done")
	}
	await.Closed(t, "the channel", ch)
	conntest.ExpectError(t, "Err", c.Err(), net.ErrClosed)
}

func TestShutdownWaitsForCompletionFunctions(t *testing.T) {
	c := conntest.Loopback(t)
	inside, proceed := make(chan struct{}), make(chan struct{})
	err := c.SendFunc(background, datagram.To(conntest.AddrOf(conntest.Socket(t)), nil), func(error) {
		close(inside)
		<-proceed
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Signal(t, "the completion function", inside)
	down := make(chan error, 1)
	go func() { down <- c.Shutdown(background) }()
	await.NotYet(t, "Shutdown with a completion function running", down)
	close(proceed)
	conntest.ExpectError(t, "Shutdown", await.Value(t, "Shutdown", down), nil)
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
			c, _, _ := conntest.Stalled(t)
			completed := make(chan error, 1)
			if err := c.SendFunc(background, conntest.ToPeer("x"), func(err error) { completed <- err }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := end(background)
			defer cancel()
			await.Return(t, "Shutdown", func() {
				conntest.ExpectBare(t, "Shutdown", c.Shutdown(ctx), context.DeadlineExceeded)
			})
			conntest.ExpectError(t, "done", await.Value(t, "done", completed), net.ErrClosed)
			conntest.ExpectError(t, "Close", c.Close(), net.ErrClosed)
			await.Closed(t, "Done", c.Done())
		})
	}
}

// What a handler has sent and not flushed is part of what Shutdown sends.
func TestShutdownWhileAHandlerRuns(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	peer := conntest.Socket(t)
	inside, proceed := make(chan struct{}), make(chan struct{})
	result := conntest.Serve(background, c, func(datagram.Datagram) {
		if err := c.Send(background, datagram.To(conntest.AddrOf(peer), []byte("x"))); err != nil {
			t.Error(err)
		}
		close(inside)
		<-proceed
	})
	conntest.WriteNumbers(t, s, 0, 1)
	await.Signal(t, "the handler", inside)
	down := make(chan error, 1)
	go func() { down <- c.Shutdown(background) }()
	conntest.ExpectRead(t, peer, "x")
	await.NotYet(t, "Shutdown before the handler returned", down)
	close(proceed)
	conntest.ExpectError(t, "Shutdown", await.Value(t, "Shutdown", down), nil)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), net.ErrClosed)
}
