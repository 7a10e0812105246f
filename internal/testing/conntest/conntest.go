// Package conntest contains what tests of Conn have in common: creating handles, exchanging datagrams with
// them, and checking their errors and books.
package conntest

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/testenv"
)

// The addresses of the loopback interface.
var (
	Localhost4 = netip.MustParseAddr("127.0.0.1")
	Localhost6 = netip.IPv6Loopback()
)

// NoInterface is an interface that no host has.
var NoInterface = &net.Interface{Index: 1 << 30, Name: "none"}

// LoopbackInterface returns the interface of 127.0.0.1.
func LoopbackInterface(tb testing.TB) *net.Interface {
	tb.Helper()
	ifi, err := datagram.InterfaceByAddr(Localhost4)
	if err != nil {
		tb.Fatal(err)
	}
	return ifi
}

// New returns a handle without a socket. Like all handles of this package, it is closed at the end of the
// test.
func New(tb testing.TB, opts ...datagram.Option) *datagram.Conn {
	tb.Helper()
	return made(tb)(datagram.New(opts...))
}

// Listen returns a handle that is bound to an address.
func Listen(tb testing.TB, network, address string, opts ...datagram.Option) *datagram.Conn {
	tb.Helper()
	return made(tb)(datagram.Listen(tb.Context(), network, address, opts...))
}

// Loopback returns a handle on the loopback interface.
func Loopback(tb testing.TB, opts ...datagram.Option) *datagram.Conn {
	tb.Helper()
	return Listen(tb, "udp4", "127.0.0.1:0", opts...)
}

// Dial returns a handle that is connected to another one.
func Dial(tb testing.TB, peer *datagram.Conn, opts ...datagram.Option) *datagram.Conn {
	tb.Helper()
	return made(tb)(datagram.Dial(tb.Context(), "udp", Reachable(peer).String(), opts...))
}

// Open returns a handle for a file.
func Open(tb testing.TB, f *os.File, opts ...datagram.Option) *datagram.Conn {
	tb.Helper()
	return made(tb)(datagram.Open(f, opts...))
}

func made(tb testing.TB) func(*datagram.Conn, error) *datagram.Conn {
	tb.Helper()
	return func(c *datagram.Conn, err error) *datagram.Conn {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return CloseAtEnd(tb, c)
	}
}

// CloseAtEnd closes c when the test ends. Nothing of c may be running then, and its books must add up.
func CloseAtEnd(tb testing.TB, c *datagram.Conn) *datagram.Conn {
	tb.Helper()
	tb.Cleanup(func() {
		c.Close()
		await.Closed(tb, "Done after Close", c.Done())
		CheckLedger(tb, c.Stats())
	})
	return c
}

// Reachable returns the address at which this host reaches a handle.
func Reachable(c *datagram.Conn) netip.AddrPort {
	local := c.LocalAddr()
	switch ip := local.Addr(); {
	case ip.IsUnspecified() && ip.Is4():
		return netip.AddrPortFrom(Localhost4, local.Port())
	case ip.IsUnspecified():
		return netip.AddrPortFrom(Localhost6, local.Port())
	}
	return local
}

// QuietPort returns a handle on a port that, once it is closed, the system gives to nobody by itself
// (net.ipv4.ip_local_port_range).
func QuietPort(tb testing.TB) *datagram.Conn {
	tb.Helper()
	return QuietPortOf(tb, "udp4", "127.0.0.1")
}

// QuietPortOf is QuietPort for a host.
func QuietPortOf(tb testing.TB, network, host string) *datagram.Conn {
	tb.Helper()
	return CloseAtEnd(tb, testenv.QuietPort(tb, func(port int) (*datagram.Conn, error) {
		return datagram.Listen(tb.Context(), network, net.JoinHostPort(host, strconv.Itoa(port)))
	}))
}

// DeadAddr returns an address that refuses datagrams until the test ends: its port is taken by a handle that
// is connected elsewhere.
func DeadAddr(tb testing.TB, address string) netip.AddrPort {
	tb.Helper()
	c := Listen(tb, "udp", address)
	local := c.LocalAddr()
	if err := c.Connect(netip.AddrPortFrom(local.Addr(), 9)); err != nil {
		tb.Fatal(err)
	}
	return local
}

// EndedContext returns a context that has ended.
func EndedContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	return ctx
}

// NeverDone returns a completion function for a refused datagram. At its end, the test fails if the function
// has been called.
func NeverDone(tb testing.TB) func(error) {
	tb.Helper()
	var calls atomic.Int64
	tb.Cleanup(func() {
		if n := calls.Load(); n > 0 {
			tb.Errorf("done of a refused datagram was called %d times", n)
		}
	})
	return func(error) { calls.Add(1) }
}
