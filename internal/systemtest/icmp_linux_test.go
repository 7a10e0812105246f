package systemtest_test

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// An echoFamily is what echo requests of both families differ in.
type echoFamily struct {
	family
	domain, protocol int
	request, reply   icmp.Type
	header           int // length of the IP header that raw sockets receive
}

var echoFamilies = []echoFamily{
	{families[0], unix.AF_INET, unix.IPPROTO_ICMP, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, ipv4.HeaderLen},
	{families[1], unix.AF_INET6, unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, 0},
}

func (f *echoFamily) echo(t *testing.T, id, sequence int, data string) []byte {
	t.Helper()
	m := icmp.Message{Type: f.request, Body: &icmp.Echo{ID: id, Seq: sequence, Data: []byte(data)}}
	b, err := m.Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// awaitEcho returns the next echo reply: raw sockets hear other messages too.
func (f *echoFamily) awaitEcho(t *testing.T, c *datagram.Conn, header int) (datagram.Datagram, *icmp.Echo) {
	t.Helper()
	for {
		d := conntest.Next(t, c)
		m, err := icmp.ParseMessage(f.protocol, d.Payload[header:])
		if err != nil {
			t.Fatal(err)
		}
		if m.Type == f.reply {
			return d, m.Body.(*icmp.Echo)
		}
	}
}

// Ping sockets are for the groups of a parameter, by default none.
func TestPingSocket(t *testing.T) {
	l := newLAN(t)
	l.near.Sysctl("net/ipv4/ping_group_range", "0 0")
	for _, f := range echoFamilies {
		t.Run(f.network, func(t *testing.T) {
			file := newSocket(t, l.near, f.domain, unix.SOCK_DGRAM, f.protocol)
			c := conntest.Open(t, file, datagram.WithMetadata(datagram.MetaHopLimit), datagram.WithTTL(77))
			loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
			if f.domain == unix.AF_INET6 {
				loopback = netip.IPv6Loopback()
			}
			for i, addr := range []netip.Addr{loopback, f.near, f.far} {
				conntest.Send(t, c, datagram.To(netip.AddrPortFrom(addr, 0), f.echo(t, 0, i, "data")))
				d, echo := f.awaitEcho(t, c, 0)
				if d.Addr.Addr() != addr || echo.Seq != i || string(echo.Data) != "data" {
					t.Errorf("reply %d %q from %v, want %d from %v", echo.Seq, echo.Data, d.Addr, i, addr)
				}
				if d.Meta.HopLimit != 64 {
					t.Errorf("hop limit %d, want 64", d.Meta.HopLimit)
				}
				// The identifier is the port of the socket.
				if got := c.LocalAddr().Port(); int(got) != echo.ID {
					t.Errorf("bound to port %d, identifier %d", got, echo.ID)
				}
			}
			conntest.Send(t, c, datagram.ToNet(&net.IPAddr{IP: f.far.AsSlice()}, f.echo(t, 0, 9, "to an IPAddr")))
			if d, echo := f.awaitEcho(t, c, 0); echo.Seq != 9 {
				t.Errorf("reply %d from %v", echo.Seq, d.Addr)
			}
			if ttl, err := c.TTL(); ttl != 77 || err != nil {
				t.Errorf("TTL %d, %v", ttl, err)
			}
		})
	}
}

func TestPingSocketConnected(t *testing.T) {
	l := newLAN(t)
	l.near.Sysctl("net/ipv4/ping_group_range", "0 0")
	for _, f := range echoFamilies {
		t.Run(f.network, func(t *testing.T) {
			c := conntest.Open(t, newSocket(t, l.near, f.domain, unix.SOCK_DGRAM, f.protocol))
			if err := c.Connect(netip.AddrPortFrom(f.far, 0)); err != nil {
				t.Fatal(err)
			}
			conntest.Send(t, c, datagram.Datagram{Payload: f.echo(t, 0, 1, "data")})
			if d, echo := f.awaitEcho(t, c, 0); d.Addr.Addr() != f.far || echo.Seq != 1 {
				t.Errorf("reply %d from %v", echo.Seq, d.Addr)
			}
		})
	}
}

// The kernel's own responder answers; a raw socket sees the request where it arrives, too.
func TestRawSocket(t *testing.T) {
	l := newLAN(t)
	for _, f := range echoFamilies {
		t.Run(f.network, func(t *testing.T) {
			near := conntest.Open(t, newSocket(t, l.near, f.domain, unix.SOCK_RAW, f.protocol))
			far := conntest.Open(t, newSocket(t, l.far, f.domain, unix.SOCK_RAW, f.protocol))
			id := os.Getpid() & 0xffff
			conntest.Send(t, near, datagram.To(netip.AddrPortFrom(f.far, 0), f.echo(t, id, 3, "data")))
			d, echo := f.awaitEcho(t, near, f.header)
			if d.Addr.Addr() != f.far || echo.ID != id || echo.Seq != 3 || string(echo.Data) != "data" {
				t.Errorf("reply %+v from %v", echo, d.Addr)
			}
			for {
				d := conntest.Next(t, far)
				m, err := icmp.ParseMessage(f.protocol, d.Payload[f.header:])
				if err != nil {
					t.Fatal(err)
				}
				if m.Type != f.request {
					continue
				}
				if d.Addr.Addr() != f.near || m.Body.(*icmp.Echo).Seq != 3 {
					t.Errorf("request %+v from %v", m.Body, d.Addr)
				}
				// Answer once more, by hand.
				m.Type = f.reply
				m.Body.(*icmp.Echo).Seq = 4
				reply, err := m.Marshal(nil)
				if err != nil {
					t.Fatal(err)
				}
				conntest.Send(t, far, d.Reply(reply))
				if d, echo := f.awaitEcho(t, near, f.header); d.Addr.Addr() != f.far || echo.Seq != 4 {
					t.Errorf("second reply %+v from %v", echo, d.Addr)
				}
				return
			}
		})
	}
}

// Raw sockets have no ports: what Connect is given for one keeps nobody out.
func TestRawSocketConnectedToAPort(t *testing.T) {
	n := netns.New(t)
	const protocol = 253 // for experiments (RFC 3692)
	c := conntest.Open(t, newSocket(t, n, unix.AF_INET, unix.SOCK_RAW, protocol))
	loopback := netip.MustParseAddrPort("127.0.0.1:7")
	if err := c.Send(background, datagram.To(loopback, []byte("before"))); err != nil {
		t.Fatal(err)
	}
	ch := c.Recv()
	conntest.AwaitHeld(t, c, 1) // what Connect is to keep
	if err := c.Connect(loopback); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(background, conntest.ToPeer("after")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before", "after"} {
		d := await.Value(t, "a packet", ch)
		if got := string(d.Payload[ipv4.HeaderLen:]); got != want {
			t.Errorf("received %q, want %q", got, want)
		}
	}
}
