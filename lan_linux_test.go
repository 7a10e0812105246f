package datagram_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/netns"
)

// A lan is two hosts on one Ethernet. Both have addresses of both families,
// near ending in 1, far in 2.
type lan struct {
	near, far       *netns.Namespace
	nearEnd, farEnd *net.Interface
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{near: netns.New(t), far: netns.New(t)}
	l.nearEnd, l.farEnd = netns.Link(l.near, l.far)
	l.near.Addresses(l.nearEnd, "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
	l.far.Addresses(l.farEnd, "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")
	return l
}

// A family is what tests of both families differ in.
type family struct {
	network   string
	near, far netip.Addr
	// group and other are multicast groups.
	group, other netip.Addr
}

var families = []family{
	{
		"udp4", netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"),
		netip.MustParseAddr("233.252.0.1"), netip.MustParseAddr("233.252.0.2"),
	},
	{
		"udp6", netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"),
		netip.MustParseAddr("ff02::114"), netip.MustParseAddr("ff02::115"),
	},
}

// eachFamily runs a test for both families.
func eachFamily(t *testing.T, test func(t *testing.T, f family)) {
	t.Helper()
	for _, f := range families {
		t.Run(f.network, func(t *testing.T) { test(t, f) })
	}
}

// within returns a context that ends when a test has waited long enough.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), netns.Watchdog)
	t.Cleanup(cancel)
	return ctx
}

// openIn calls a constructor inside a namespace. The handle is closed when the test ends.
func openIn(t *testing.T, n *netns.Namespace, open func() (*datagram.Conn, error)) *datagram.Conn {
	t.Helper()
	var c *datagram.Conn
	n.Do(func() {
		var err error
		if c, err = open(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// listenIn is Listen inside a namespace.
func listenIn(t *testing.T, n *netns.Namespace, network, address string, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	return openIn(t, n, func() (*datagram.Conn, error) {
		return datagram.Listen(within(t), network, address, opts...)
	})
}

// dialIn is Dial inside a namespace.
func dialIn(t *testing.T, n *netns.Namespace, network string, peer netip.AddrPort, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	return openIn(t, n, func() (*datagram.Conn, error) {
		return datagram.Dial(within(t), network, peer.String(), opts...)
	})
}

// at returns the address with the port that a handle is bound to.
func at(addr netip.Addr, c *datagram.Conn) netip.AddrPort {
	return netip.AddrPortFrom(addr, c.LocalAddr().Port())
}

// push sends a datagram through the queue and waits until the system has taken it.
func push(t *testing.T, c *datagram.Conn, d datagram.Datagram) {
	t.Helper()
	if err := pushed(t, c, d); err != nil {
		t.Fatalf("send to %v: %v", d.NetAddr(), err)
	}
}

// pushed is push that returns what the system says.
func pushed(t *testing.T, c *datagram.Conn, d datagram.Datagram) error {
	t.Helper()
	ctx := within(t)
	answer := make(chan error, 1)
	if err := c.SendFunc(ctx, d, func(err error) { answer <- err }); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		t.Fatal("the system did not answer")
		return nil
	}
}

// pull returns the next datagram, with memory of its own.
func pull(t *testing.T, c *datagram.Conn) datagram.Datagram {
	t.Helper()
	timer := time.NewTimer(netns.Watchdog)
	defer timer.Stop()
	select {
	case d, ok := <-c.Recv():
		if !ok {
			t.Fatalf("receiving ended: %v", c.Err())
		}
		defer d.Release()
		return d.Clone()
	case <-timer.C:
		t.Fatalf("nothing received; %+v", c.Stats())
		return datagram.Datagram{}
	}
}

// wantNext expects the next datagram to be this one. That something does not arrive shows by what
// is sent after it.
func wantNext(t *testing.T, c *datagram.Conn, payload string) datagram.Datagram {
	t.Helper()
	d := pull(t, c)
	if string(d.Payload) != payload {
		t.Fatalf("received %q from %v, want %q", d.Payload, d.NetAddr(), payload)
	}
	return d
}
