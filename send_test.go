package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
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
		if err := c.TryQueue(unaddressed(payload)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSendCopiesThePayload(t *testing.T) {
	c, peer, full := stalled(t)
	payload, first, second := []byte("payload"), []byte("one,"), []byte("two")
	if err := c.Send(background, datagram.Datagram{Payload: payload}); err != nil {
		t.Fatal(err)
	}
	if err := c.SendBuffers(background, unaddressed("zero,"), [][]byte{first, nil, second}, nil); err != nil {
		t.Fatal(err)
	}
	copy(payload, "spoiled")
	copy(first, "bad,")
	copy(second, "bad")
	readFill(t, peer, full)
	expectText(t, peer, "payload")
	expectText(t, peer, "zero,one,two")
}

func TestSendKeepsTheOrderToEachDestination(t *testing.T) {
	const destinations, each = 8, 25
	c := loopback(t)
	var peers []*net.UDPConn
	for range destinations {
		peers = append(peers, unboundSocket(t))
	}
	for i := range each {
		for _, peer := range peers {
			// Different sizes, so that what can be segmented and what cannot take turns.
			payload := fmt.Sprintf("%d %s", i, strings.Repeat(".", i%3))
			if err := c.Send(background, datagram.To(addrOf(peer), []byte(payload))); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, peer := range peers {
		for i := range each {
			expectText(t, peer, fmt.Sprintf("%d %s", i, strings.Repeat(".", i%3)))
		}
	}
}

func TestSendBuffers(t *testing.T) {
	c := loopback(t)
	peer := unboundSocket(t)
	to := datagram.To(addrOf(peer), nil)
	expectError(t, "no buffer", c.SendBuffers(background, to, nil, nil), syscall.EINVAL)
	expectError(t, "no buffer", c.SendBuffers(background, to, [][]byte{}, nil), syscall.EINVAL)
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
		expectText(t, peer, want)
	}
}

func TestQueueBoundsAreInclusive(t *testing.T) {
	t.Run("count", func(t *testing.T) {
		c, _, _ := stalled(t, datagram.WithSendQueue(3, 1000))
		mustQueue(t, c, "a", "b", "c")
		expectQueue(t, c, 3, 3)
		expectBare(t, "the fourth", c.TryQueue(unaddressed("d")), datagram.ErrQueueFull)
		expectBare(t, "an empty one", c.TryQueue(unaddressed("")), datagram.ErrQueueFull)
		expectQueue(t, c, 3, 3)
	})
	t.Run("bytes", func(t *testing.T) {
		c, _, _ := stalled(t, datagram.WithSendQueue(100, 10))
		mustQueue(t, c, "1234", "123456")
		expectQueue(t, c, 2, 10)
		expectBare(t, "an eleventh byte", c.TryQueue(unaddressed("1")), datagram.ErrQueueFull)
		mustQueue(t, c, "") // no byte too many
		expectQueue(t, c, 3, 10)
	})
	t.Run("one byte too many", func(t *testing.T) {
		c, _, _ := stalled(t, datagram.WithSendQueue(100, 10))
		mustQueue(t, c, "1234")
		expectBare(t, "seven more", c.TryQueue(unaddressed("1234567")), datagram.ErrQueueFull)
		expectQueue(t, c, 1, 4)
	})
	t.Run("of one", func(t *testing.T) {
		c, _, _ := stalled(t, datagram.WithSendQueue(1, 1))
		mustQueue(t, c, "a")
		expectBare(t, "a second", c.TryQueue(unaddressed("b")), datagram.ErrQueueFull)
	})
	t.Run("of none", func(t *testing.T) {
		for _, bounds := range [][2]int{{0, 1}, {1, 0}, {-1, 1}, {1, -1}} {
			_, err := datagram.New(datagram.WithSendQueue(bounds[0], bounds[1]))
			expectError(t, fmt.Sprint(bounds), err, syscall.EINVAL)
		}
	})
}

func TestDatagramLargerThanTheBoundIsLetInAlone(t *testing.T) {
	c, peer, full := stalled(t, datagram.WithSendQueue(10, 8))
	mustQueue(t, c, "large, much larger")
	expectQueue(t, c, 1, 18)
	expectBare(t, "another", c.TryQueue(unaddressed("x")), datagram.ErrQueueFull)
	expectBare(t, "an empty one", c.TryQueue(unaddressed("")), datagram.ErrQueueFull)
	readFill(t, peer, full)
	expectText(t, peer, "large, much larger")

	// But not together with others.
	c, _, _ = stalled(t, datagram.WithSendQueue(10, 8))
	mustQueue(t, c, "x")
	expectBare(t, "a large one after it", c.TryQueue(unaddressed("larger than 8")), datagram.ErrQueueFull)
}

func TestSendWaitsForRoom(t *testing.T) {
	for _, bounds := range []datagram.Option{datagram.WithSendQueue(2, 1000), datagram.WithSendQueue(100, 2)} {
		c, peer, full := stalled(t, bounds)
		mustQueue(t, c, "a", "b")
		sent := make(chan error, 1)
		go func() { sent <- c.Send(background, unaddressed("c")) }()
		notYet(t, "Send into a full queue", sent)
		expectQueue(t, c, 2, 2)
		readFill(t, peer, full)
		expectError(t, "Send", await(t, "Send", sent), nil)
		for _, want := range []string{"a", "b", "c"} {
			expectText(t, peer, want)
		}
	}
}

func TestSendWaitsUntilItsContextEnds(t *testing.T) {
	c, _, _ := stalled(t, datagram.WithSendQueue(1, 1000))
	mustQueue(t, c, "a")
	finishes(t, "Send", func() {
		ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
		defer cancel()
		expectBare(t, "Send", c.Send(ctx, unaddressed("b")), context.DeadlineExceeded)
	})
	expectQueue(t, c, 1, 1)

	ctx, cancel := context.WithCancel(background)
	sent := make(chan error, 1)
	go func() {
		sent <- c.SendFunc(ctx, unaddressed("c"), func(error) { t.Error("done after an error") })
	}()
	notYet(t, "Send into a full queue", sent)
	cancel()
	expectBare(t, "Send", await(t, "Send", sent), context.Canceled)
	expectQueue(t, c, 1, 1)
}

func TestEndedContextIsRefusedBeforeAnythingElse(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	fresh, err := datagram.New()
	if err != nil {
		t.Fatal(err)
	}
	closedAtEnd(t, fresh)
	to := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), []byte("x"))
	expectBare(t, "Send", fresh.Send(ctx, to), context.Canceled)
	expectBare(t, "SendFunc", fresh.SendFunc(ctx, to, func(error) { t.Error("done") }), context.Canceled)
	expectBare(t, "SendBuffers", fresh.SendBuffers(ctx, to, [][]byte{{1}}, nil), context.Canceled)
	expectBare(t, "no destination", fresh.Send(ctx, unaddressed("x")), context.Canceled)
	expectBare(t, "Flush", fresh.Flush(ctx), context.Canceled)
	if fresh.LocalAddr().IsValid() || fresh.Stats().Accepted != 0 {
		t.Error("it was sent")
	}
	for _, err := range []error{fresh.Send(nil, to), fresh.Flush(nil)} { //nolint:staticcheck // nil is the case under test
		expectError(t, "no context", err, syscall.EINVAL)
	}
}

// A queued datagram counts until the system has answered for it.
func TestQueueMetrics(t *testing.T) {
	c, peer, full := stalled(t)
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
	readFill(t, peer, full)
	expectText(t, peer, "four")
	expectText(t, peer, "")
	expectText(t, peer, "seven b")
	eventually(t, "an empty queue", func() bool { return c.SendQueueCount() == 0 && !c.Active() })
	expectQueue(t, c, 0, 0)
	if s := c.Stats(); s.SentBytes != uint64(4*full+11) || s.Sent != uint64(full+3) {
		t.Errorf("%+v, want %d bytes sent", s, 4*full+11)
	}
}

// What fails without a completion function goes to the error handler.
func TestErrorHandlerHearsOfFailedSends(t *testing.T) {
	failed := make(chan error, 10)
	c := loopback(t, datagram.WithErrorHandler(func(err error) { failed <- err }))
	to := netip.MustParseAddrPort("127.0.0.1:0")
	if err := c.Send(background, datagram.To(to, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	err := await(t, "the error handler", failed)
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "write" || op.Addr == nil || op.Addr.String() != to.String() {
		t.Errorf("%#v does not say what failed", err)
	}
	expectError(t, "the error", err, syscall.EINVAL)

	// With a completion function it is told of nothing.
	completed := make(chan error, 1)
	if err := c.SendFunc(background, datagram.To(to, nil), func(err error) { completed <- err }); err != nil {
		t.Fatal(err)
	}
	expectError(t, "done", await(t, "done", completed), syscall.EINVAL)
	if len(failed) != 0 {
		t.Error("the error handler heard of it too")
	}
	if s := c.Stats(); s.SendErrors != 2 {
		t.Errorf("SendErrors is %d, want 2", s.SendErrors)
	}
}
