package systemtest_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// background is the context of calls that do not wait.
var background = context.Background()

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
	return conntest.CloseAtEnd(t, c)
}

// listenIn is Listen inside a namespace.
func listenIn(t *testing.T, n *netns.Namespace, network, address string, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	return openIn(t, n, func() (*datagram.Conn, error) {
		return datagram.Listen(await.Context(t), network, address, opts...)
	})
}

// dialIn is Dial inside a namespace.
func dialIn(t *testing.T, n *netns.Namespace, network string, peer netip.AddrPort, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	return openIn(t, n, func() (*datagram.Conn, error) {
		return datagram.Dial(await.Context(t), network, peer.String(), opts...)
	})
}

// at returns the address with the port that a handle is bound to.
func at(addr netip.Addr, c *datagram.Conn) netip.AddrPort {
	return netip.AddrPortFrom(addr, c.LocalAddr().Port())
}
