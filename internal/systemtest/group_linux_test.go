package systemtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// groupIn returns a group inside a namespace. It is closed when the test ends.
func groupIn(t *testing.T, n *netns.Namespace, network, address string, size int, opts ...datagram.Option) (g *datagram.Group, err error) {
	t.Helper()
	n.Do(func() { g, err = datagram.ListenGroup(await.Context(t), network, address, size, opts...) })
	if err == nil {
		t.Cleanup(func() { g.Close() })
	}
	return g, err
}

// drainGroup serves a group until it has received a number of datagrams and copies.
func drainGroup(t *testing.T, g *datagram.Group, received int) datagram.Stats {
	t.Helper()
	served := make(chan error, 1)
	go func() {
		served <- g.Serve(background, func(_ *datagram.Conn, d datagram.Datagram) { d.Release() })
	}()
	await.Until(t, fmt.Sprint(received, " datagrams"), func() bool { return g.Stats().Received >= uint64(received) })
	conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
	return g.Stats()
}

// Linux gives each socket of a group a copy of a broadcast.
func TestGroupDeliversBroadcastOnce(t *testing.T) {
	const n, rounds = 3, 5
	l := newLAN(t)
	l.near.IP("route add default dev %s", l.nearEnd.Name)
	for _, test := range []struct{ network, address, to string }{
		{"udp4", ":0", "192.0.2.255"},
		{"udp", ":0", "192.0.2.255"},
		{"udp4", ":0", "255.255.255.255"},
		{"udp4", "192.0.2.255:0", "192.0.2.255"},
		{"udp4", "255.255.255.255:0", "255.255.255.255"},
	} {
		t.Run(test.network+" "+test.address+" "+test.to, func(t *testing.T) {
			g, err := groupIn(t, l.far, test.network, test.address, n)
			if err != nil {
				t.Fatal(err)
			}
			sender := listenIn(t, l.near, "udp4", ":0", datagram.WithBroadcast())
			for range rounds {
				conntest.Send(t, sender, datagram.To(netip.AddrPortFrom(netip.MustParseAddr(test.to), g.LocalAddr().Port()), []byte("x")))
			}
			if s := drainGroup(t, g, n*rounds); s.Delivered != rounds || s.PolicyDrops != (n-1)*rounds {
				t.Errorf("of %d datagrams:\n%v", rounds, s)
			}
		})
	}
}

// A join on any handle is the group's.
func TestGroupDeliversMulticastOnce(t *testing.T) {
	const n = 3
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		for _, network := range []string{f.network, "udp"} {
			g, err := groupIn(t, l.near, network, ":0", n)
			if err != nil {
				t.Fatal(err)
			}
			conns := g.Conns()
			membership(t, conns[1].JoinGroup(f.group, l.nearEnd))
			for _, c := range conns {
				if err := c.JoinGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("joined again: %v", err)
				}
			}
			sender := groupSender(t, l.far, f, l.farEnd)
			conntest.Send(t, sender, datagram.To(at(f.group, conns[0]), []byte("to the group")))
			conntest.Send(t, sender, datagram.To(at(f.near, conns[0]), []byte("to the host")))
			if s := drainGroup(t, g, 2); s.Delivered != 2 || s.Received != 2+s.PolicyDrops {
				t.Errorf("of two datagrams:\n%v", s)
			}
			membership(t, conns[2].LeaveGroup(f.group, l.nearEnd))
			if err := conns[1].LeaveGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRNOTAVAIL) {
				t.Errorf("left again: %v", err)
			}
		}
	})
}

// When the system chooses ports, groups never share one, even if there are no others.
func TestGroupsRunOutOfPorts(t *testing.T) {
	const first, last = 40_000, 40_019
	n := netns.New(t)
	n.Sysctl("net/ipv4/ip_local_port_range", fmt.Sprint(first, " ", last))
	taken := make(map[netip.AddrPort]bool)
	for range last - first + 1 {
		g, err := groupIn(t, n, "udp4", "127.0.0.1:0", 2)
		if errors.Is(err, syscall.EADDRINUSE) {
			break // Linux tries only half of the ports
		}
		if err != nil {
			t.Fatal(err)
		}
		if taken[g.LocalAddr()] {
			t.Fatalf("a second group on %v", g.LocalAddr())
		}
		taken[g.LocalAddr()] = true
	}
	var err error
	n.Do(func() {
		_, err = datagram.Listen(context.Background(), "udp4", "127.0.0.1:0", datagram.WithReusePort())
	})
	if len(taken) < (last-first)/2 || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("%d groups, then %v", len(taken), err)
	}
}
