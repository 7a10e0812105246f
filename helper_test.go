package datagram_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/datagram"
)

// watchdog is how long a test waits for what has to happen. It is far longer
// than any machine needs, so that it says "never" and not "slowly".
const watchdog = 10 * time.Second

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.IPv6Loopback()
)

// skip skips a test for what a developer's machine may lack. The environment
// variable DATAGRAM_CI says that nothing of that is lacking.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("DATAGRAM_CI") == "1" {
		t.Fatal("this has to run here: ", why)
	}
	t.Skip(why)
}

// needIPv6 skips a test where the loopback interface has no IPv6.
func needIPv6(t *testing.T) {
	t.Helper()
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		skip(t, "no IPv6: "+err.Error())
	}
	probe.Close()
}

// lazyConn returns a handle without a socket, closed at the end of the test.
func lazyConn(t *testing.T, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	c, err := datagram.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return endWithTest(t, c)
}

// boundConn returns a handle that listens on an address.
func boundConn(t *testing.T, network, address string, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	c, err := datagram.Listen(t.Context(), network, address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return endWithTest(t, c)
}

// dialedConn returns a handle that is connected to another.
func dialedConn(t *testing.T, peer *datagram.Conn, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	c, err := datagram.Dial(t.Context(), "udp", reachable(peer).String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return endWithTest(t, c)
}

// endWithTest closes c when the test ends and waits until nothing of it runs.
func endWithTest(t *testing.T, c *datagram.Conn) *datagram.Conn {
	t.Helper()
	t.Cleanup(func() {
		c.Close()
		select {
		case <-c.Done():
		case <-time.After(watchdog):
			t.Error("something of a closed Conn still runs")
		}
	})
	return c
}

// reachable returns the address at which a handle of this host is reached.
func reachable(c *datagram.Conn) netip.AddrPort {
	local := c.LocalAddr()
	switch ip := local.Addr(); {
	case ip.IsUnspecified() && ip.Is4():
		return netip.AddrPortFrom(loopback4, local.Port())
	case ip.IsUnspecified():
		return netip.AddrPortFrom(loopback6, local.Port())
	}
	return local
}

// awaitValue returns the next value of a channel.
func awaitValue[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatalf("waiting for %s: the channel is closed", what)
		}
		return v
	case <-time.After(watchdog):
		t.Fatalf("waiting for %s: nothing came", what)
	}
	panic("unreachable")
}

// awaitClosed waits until a channel is closed, which must hold nothing.
func awaitClosed[T any](t *testing.T, ch <-chan T, what string) {
	t.Helper()
	select {
	case v, ok := <-ch:
		if ok {
			t.Fatalf("waiting for the end of %s: got %v", what, v)
		}
	case <-time.After(watchdog):
		t.Fatalf("waiting for the end of %s: it is still open", what)
	}
}

// awaitPayload receives one datagram and checks what it says.
func awaitPayload(t *testing.T, c *datagram.Conn, want string) datagram.Datagram {
	t.Helper()
	d := awaitValue(t, c.Recv(), "a datagram that says "+want)
	if string(d.Payload) != want {
		t.Fatalf("received %q, want %q", d.Payload, want)
	}
	return d
}

// awaitCondition waits until a condition holds that tells nobody when it does.
func awaitCondition(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(watchdog); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waiting until %s: it never was so", what)
		}
	}
}

// inTime runs f and fails the test if f does not return: a method that blocks
// for ever should name itself, not time out the test binary.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	awaitClosed(t, done, what)
}

// mustSend sends what has to arrive next, without the queue.
func mustSend(t *testing.T, c *datagram.Conn, d datagram.Datagram) {
	t.Helper()
	if n, err := c.TrySend(d); err != nil || n != len(d.Payload) {
		t.Fatalf("TrySend to %v: %d, %v; want %d", d.Addr, n, err, len(d.Payload))
	}
}

// opShape is what a *net.OpError has to look like.
type opShape struct {
	op, network  string
	source, addr netip.AddrPort // zero: there must be none
	is           error
	text         string // part of the message
}

// checkOpError checks the shape of an error.
func checkOpError(t *testing.T, err error, want opShape) {
	t.Helper()
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Fatalf("got %T (%v), want a *net.OpError with %v", err, err, want.is)
	}
	if error(op) != err {
		t.Errorf("%v wraps its *net.OpError", err)
	}
	if again := (*net.OpError)(nil); errors.As(op.Err, &again) {
		t.Errorf("%v holds a second *net.OpError", err)
	}
	if want.is != nil && !errors.Is(err, want.is) {
		t.Errorf("%v does not match %v", err, want.is)
	}
	if op.Op != want.op || op.Net != want.network {
		t.Errorf("%v: Op %q, Net %q, want %q, %q", err, op.Op, op.Net, want.op, want.network)
	}
	checkErrorAddr(t, err, "Source", op.Source, want.source)
	checkErrorAddr(t, err, "Addr", op.Addr, want.addr)
	if !strings.Contains(err.Error(), want.text) {
		t.Errorf("%q does not say %q", err, want.text)
	}
}

func checkErrorAddr(t *testing.T, err error, field string, got net.Addr, want netip.AddrPort) {
	t.Helper()
	if ip, ok := got.(*net.IPAddr); ok && want.Port() == 0 && ip.String() == want.Addr().String() {
		return // groups have no port
	}
	switch {
	case !want.IsValid() && got != nil:
		t.Errorf("%v: %s is %v, want none", err, field, got)
	case want.IsValid() && (got == nil || got.String() != want.String()):
		t.Errorf("%v: %s is %v, want %v", err, field, got, want)
	}
}

// checkErrno checks that an error is a *net.OpError for an errno or sentinel.
func checkErrno(t *testing.T, err, want error) {
	t.Helper()
	if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.Is(err, want) {
		t.Errorf("got %T (%v), want a *net.OpError with %v", err, err, want)
	}
}

// connState is what a refused call must not change.
type connState struct {
	local, remote            netip.AddrPort
	active                   bool
	queueSize, queueCount    int
	ttl, multicastTTL        int
	readBuffer, writeBuffer  int
	loopback                 bool
	multicastInterface       string
	accepted, sent, failures uint64
	receiveError             string
}

func stateOf(c *datagram.Conn) connState {
	s := connState{
		local: c.LocalAddr(), remote: c.RemoteAddr(), active: c.Active(),
		queueSize: c.SendQueueSize(), queueCount: c.SendQueueCount(),
	}
	// A getter that fails returns zero, which is a state as good as any.
	s.ttl, _ = c.TTL()
	s.multicastTTL, _ = c.MulticastTTL()
	s.readBuffer, _ = c.ReadBuffer()
	s.writeBuffer, _ = c.WriteBuffer()
	s.loopback, _ = c.MulticastLoopback()
	if ifi, err := c.MulticastInterface(); err == nil && ifi != nil {
		s.multicastInterface = ifi.Name
	}
	stats := c.Stats()
	s.accepted, s.sent, s.failures = stats.Accepted, stats.Sent, stats.SendErrors
	if err := c.Err(); err != nil {
		s.receiveError = err.Error()
	}
	return s
}

// checkUnchanged checks that a handle is as it was.
func checkUnchanged(t *testing.T, c *datagram.Conn, before connState) {
	t.Helper()
	if after := stateOf(c); after != before {
		t.Errorf("the refused call changed the handle:\n was %+v\n is  %+v", before, after)
	}
}

// endedContext returns a context that has ended.
func endedContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
