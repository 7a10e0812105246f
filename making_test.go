package datagram_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// meanwhile returns a handle that is bound while do is called with it, on another goroutine, between the making and
// the binding of the socket; and what Bind returned.
func meanwhile(t *testing.T, do func(*datagram.Conn)) (*datagram.Conn, error) {
	t.Helper()
	var c *datagram.Conn
	c = lazyConn(t, datagram.WithControl(func(string, string, syscall.RawConn) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(c)
		}()
		<-done
		return nil
	}))
	return c, c.Bind(t.Context(), "udp4", "127.0.0.1:0")
}

func TestSettingsWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.SetTTL(9); err != nil {
			t.Error(err)
		}
		c.SetSegmentation(false)
	})
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := c.TTL(); ttl != 9 || err != nil {
		t.Errorf("TTL %d, %v; want 9", ttl, err)
	}
	if c.Capabilities().GSO.Active {
		t.Error("it segments")
	}
}

func TestRefusedSettingWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.SetMulticastInterface(&net.Interface{Index: 1 << 30}); err != nil {
			t.Error(err)
		}
	})
	if op, ok := err.(*net.OpError); !ok || op.Op != "set" || c.LocalAddr().IsValid() {
		t.Errorf("Bind returned %v, and the handle is bound to %v", err, c.LocalAddr())
	}
}

func TestCloseWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	checkErrno(t, err, net.ErrClosed)
	awaitClosed(t, c.Done(), "the handle")
}

// Who waits for a socket that somebody else makes waits no longer than its context allows, and makes none
// after Close. Done waits for the control function.
func TestWaitForTheSocket(t *testing.T) {
	calls := 0
	entered, release := make(chan struct{}), make(chan struct{})
	c := lazyConn(t, datagram.WithControl(func(string, string, syscall.RawConn) error {
		calls++
		close(entered)
		<-release
		return nil
	}))
	bound, sent := make(chan error, 1), make(chan error, 1)
	go func() { bound <- c.Bind(background, "udp4", "127.0.0.1:0") }()
	awaitClosed(t, entered, "the beginning")
	to := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), nil)
	ctx, cancel := context.WithCancel(background)
	go func() { sent <- c.Send(ctx, to) }()
	cancel()
	if err := awaitValue(t, sent, "Send"); err != context.Canceled {
		t.Errorf("Send returned %v, want %v", err, context.Canceled)
	}
	go func() { sent <- c.TryQueue(to) }()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Done():
		t.Error("Done, and the control function runs")
	default:
	}
	close(release)
	checkErrno(t, awaitValue(t, bound, "Bind"), net.ErrClosed)
	checkErrno(t, awaitValue(t, sent, "TryQueue"), net.ErrClosed)
	awaitClosed(t, c.Done(), "the handle")
	if calls != 1 {
		t.Errorf("%d sockets were made", calls)
	}
}

// slowNames is a network that takes its time to look up a name.
type slowNames struct {
	socket.Network
	asked, release chan struct{}
}

func (s slowNames) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	close(s.asked)
	<-s.release
	return []netip.Addr{loopback4}, nil
}

// Nobody waits for a name that Bind looks up: the first use makes the socket.
func TestNamesKeepNobodyWaiting(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	c := lazyConn(t, hook.WrapNetwork(func(n socket.Network) socket.Network {
		return slowNames{n, asked, release}
	}).(datagram.Option))
	bound := make(chan error, 1)
	go func() { bound <- c.Bind(background, "udp4", "slow.example:0") }()
	awaitClosed(t, asked, "the lookup")
	mustSend(t, c, datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), nil))
	close(release)
	checkErrno(t, awaitValue(t, bound, "Bind"), syscall.EINVAL)
}

// A lookup that is given up returns the context's error as it is.
func TestLookupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	const name = "localhost:9"
	for op, err := range map[string]error{
		"Listen":  second(datagram.Listen(ctx, "udp4", name)),
		"Dial":    second(datagram.Dial(ctx, "udp4", name)),
		"Resolve": second(datagram.Resolve(ctx, "udp4", name)),
	} {
		if err != context.Canceled {
			t.Errorf("%s: %v, want %v", op, err, context.Canceled)
		}
	}
}
