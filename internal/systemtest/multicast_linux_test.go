package systemtest_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// groupSender returns a handle that sends to groups through one interface.
func groupSender(t *testing.T, n *netns.Namespace, f family, out *net.Interface, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	opts = append(opts, datagram.WithMulticastInterface(out))
	return listenIn(t, n, f.network, ":0", opts...)
}

// membership fails the test if joining or leaving did.
func membership(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMulticastJoinAndLeave(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		testJoinAndLeave(t, l, f, f.network)
		testJoinAndLeave(t, l, f, "udp")
	})
}

func testJoinAndLeave(t *testing.T, l *lan, f family, network string) {
	t.Helper()
	receiver := listenIn(t, l.near, network, ":0")
	sender := groupSender(t, l.far, f, l.farEnd)

	conntest.Send(t, sender, datagram.To(at(f.group, receiver), []byte("before")))
	conntest.Send(t, sender, datagram.To(at(f.near, receiver), []byte("to the host")))
	conntest.Expect(t, receiver, "to the host")

	membership(t, receiver.JoinGroup(f.group, l.nearEnd))
	conntest.Send(t, sender, datagram.To(at(f.group, receiver), []byte("to the group")))
	d := conntest.Expect(t, receiver, "to the group")
	if got := d.Meta.Local.WithZone(""); got != f.group || d.Meta.IfIndex != l.nearEnd.Index {
		t.Errorf("sent to %v, interface %d; want %v, %d", got, d.Meta.IfIndex, f.group, l.nearEnd.Index)
	}

	// The group's address is nothing to answer from.
	conntest.Send(t, receiver, d.Reply([]byte("answer")))
	answer := conntest.Expect(t, sender, "answer")
	if answer.Addr.Port() != receiver.LocalAddr().Port() || answer.Addr.Addr().IsMulticast() {
		t.Errorf("answer from %v", answer.Addr)
	}

	membership(t, receiver.LeaveGroup(f.group, l.nearEnd))
	conntest.Send(t, sender, datagram.To(at(f.group, receiver), []byte("after")))
	conntest.Send(t, sender, datagram.To(at(f.near, receiver), []byte("to the host again")))
	conntest.Expect(t, receiver, "to the host again")
}

// Another socket's membership makes the host receive the group. The
// system would hand it to every socket on the port.
func TestMulticastOnlyJoinedGroups(t *testing.T) {
	l := newLAN(t)
	for _, network := range []string{"udp4", "udp6", "udp"} {
		t.Run(network, func(t *testing.T) {
			one := listenIn(t, l.near, network, ":0", datagram.WithReuseAddr())
			two := listenIn(t, l.near, network, at(netip.IPv6Unspecified(), one).String(), datagram.WithReuseAddr())
			if network == "udp4" {
				two.Close()
				two = listenIn(t, l.near, network, at(netip.IPv4Unspecified(), one).String(), datagram.WithReuseAddr())
			}
			for _, f := range families {
				if network != "udp" && network != f.network {
					continue
				}
				membership(t, one.JoinGroup(f.group, l.nearEnd))
				membership(t, two.JoinGroup(f.other, l.nearEnd))
				sender := groupSender(t, l.far, f, l.farEnd)
				conntest.Send(t, sender, datagram.To(at(f.group, one), []byte("for one")))
				conntest.Send(t, sender, datagram.To(at(f.other, one), []byte("for two")))
				conntest.Send(t, sender, datagram.To(at(f.group, one), []byte("for one again")))
				conntest.Send(t, sender, datagram.To(at(f.other, one), []byte("for two again")))
				conntest.Expect(t, one, "for one")
				conntest.Expect(t, one, "for one again")
				conntest.Expect(t, two, "for two")
				conntest.Expect(t, two, "for two again")
			}
		})
	}
}

func TestMulticastSourceSpecific(t *testing.T) {
	l := newLAN(t)
	l.far.Addresses(l.farEnd, "192.0.2.3/24", "2001:db8::3/64")
	eachFamily(t, func(t *testing.T, f family) {
		group := netip.MustParseAddr(map[string]string{"udp4": "232.1.1.1", "udp6": "ff32::1"}[f.network])
		receiver := listenIn(t, l.near, f.network, ":0")
		wanted := listenIn(t, l.far, f.network, netip.AddrPortFrom(f.far, 0).String(), datagram.WithMulticastInterface(l.farEnd))
		unwanted := listenIn(t, l.far, f.network, netip.AddrPortFrom(f.far.Next(), 0).String(), datagram.WithMulticastInterface(l.farEnd))

		membership(t, receiver.JoinSourceGroup(group, f.far, l.nearEnd))
		conntest.Send(t, unwanted, datagram.To(at(group, receiver), []byte("unwanted")))
		conntest.Send(t, wanted, datagram.To(at(group, receiver), []byte("wanted")))
		conntest.Expect(t, receiver, "wanted")

		// One more source, and one less.
		membership(t, receiver.JoinSourceGroup(group, f.far.Next(), l.nearEnd))
		conntest.Send(t, unwanted, datagram.To(at(group, receiver), []byte("wanted now")))
		conntest.Expect(t, receiver, "wanted now")
		membership(t, receiver.LeaveSourceGroup(group, f.far, l.nearEnd))
		conntest.Send(t, wanted, datagram.To(at(group, receiver), []byte("wanted no more")))
		conntest.Send(t, unwanted, datagram.To(at(group, receiver), []byte("still wanted")))
		conntest.Expect(t, receiver, "still wanted")
	})
}

func TestMulticastSourceErrors(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		c := listenIn(t, l.near, f.network, ":0")
		other := families[0].far
		if f.network == "udp4" {
			other = families[1].far
		}
		for _, source := range []netip.Addr{{}, other} {
			if err := c.JoinSourceGroup(f.group, source, l.nearEnd); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("join for the source %v: %v, want EINVAL", source, err)
			}
		}
		membership(t, c.JoinSourceGroup(f.group, f.far, l.nearEnd))
		if err := c.JoinSourceGroup(f.group, f.far, l.nearEnd); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("join again: %v, want EADDRNOTAVAIL", err)
		}
		if err := c.LeaveSourceGroup(f.group, f.near, l.nearEnd); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("leave for a source that was not joined: %v, want EADDRNOTAVAIL", err)
		}
		// A membership for every source and one for some exclude one another.
		if err := c.JoinGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("join for every source: %v, want EADDRINUSE", err)
		}
	})
}

func TestMulticastErrors(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		c := openIn(t, l.near, func() (*datagram.Conn, error) { return datagram.New() })
		for _, group := range []netip.Addr{{}, f.near, netip.IPv4Unspecified()} {
			if err := c.JoinGroup(group, l.nearEnd); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("join %v: %v, want EINVAL", group, err)
			}
		}
		if addr := c.LocalAddr(); addr.IsValid() {
			t.Errorf("refused joins bound the handle to %v", addr)
		}
		l.near.Do(func() { membership(t, c.JoinGroup(f.group, l.nearEnd)) })
		if err := c.JoinGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("join again: %v, want EADDRINUSE", err)
		}
		if err := c.LeaveGroup(f.other, l.nearEnd); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("leave what was not joined: %v, want EADDRNOTAVAIL", err)
		}
		membership(t, c.LeaveGroup(f.group, l.nearEnd))
		if err := c.LeaveGroup(f.group, l.nearEnd); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("leave again: %v, want EADDRNOTAVAIL", err)
		}
		nowhere := &net.Interface{Index: 99_999, Name: "nowhere"}
		if err := c.JoinGroup(f.group, nowhere); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("join at an interface that does not exist: %v, want ENODEV", err)
		}
		c.Close()
		if err := c.JoinGroup(f.group, l.nearEnd); !errors.Is(err, net.ErrClosed) {
			t.Errorf("join after Close: %v, want ErrClosed", err)
		}
	})
}

func TestMulticastTooManyGroups(t *testing.T) {
	l := newLAN(t)
	l.near.Sysctl("net/ipv4/igmp_max_memberships", "2")
	f := families[0]
	c := listenIn(t, l.near, f.network, ":0")
	membership(t, c.JoinGroup(f.group, l.nearEnd))
	membership(t, c.JoinGroup(f.other, l.nearEnd))
	if err := c.JoinGroup(f.other.Next(), l.nearEnd); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("join one too many: %v, want ENOBUFS", err)
	}
	membership(t, c.LeaveGroup(f.group, l.nearEnd))
	membership(t, c.JoinGroup(f.other.Next(), l.nearEnd))
}

// The group decides which family a handle gets by its first use.
func TestMulticastJoinBinds(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		c := openIn(t, l.near, func() (*datagram.Conn, error) { return datagram.New() })
		l.near.Do(func() { membership(t, c.JoinGroup(f.group, l.nearEnd)) })
		local := c.LocalAddr()
		if !local.Addr().IsUnspecified() || local.Port() == 0 || local.Addr().Is4() != f.group.Is4() {
			t.Fatalf("bound to %v", local)
		}
		conntest.Send(t, groupSender(t, l.far, f, l.farEnd), datagram.To(at(f.group, c), []byte("x")))
		conntest.Expect(t, c, "x")
	})
}

// As with package net, listening on a group's address is listening on the wildcard with address
// reuse. It does not join.
func TestMulticastListenOnGroup(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		one := listenIn(t, l.near, f.network, netip.AddrPortFrom(f.group, 0).String())
		two := listenIn(t, l.near, f.network, at(f.group, one).String())
		sender := groupSender(t, l.far, f, l.farEnd)
		for _, c := range []*datagram.Conn{one, two} {
			if local := c.LocalAddr(); !local.Addr().IsUnspecified() {
				t.Fatalf("bound to %v, want the wildcard address", local)
			}
		}
		membership(t, one.JoinGroup(f.group, l.nearEnd))
		conntest.Send(t, sender, datagram.To(at(f.group, one), []byte("for one")))
		conntest.Expect(t, one, "for one")
		membership(t, two.JoinGroup(f.group, l.nearEnd))
		conntest.Send(t, sender, datagram.To(at(f.group, one), []byte("for both")))
		conntest.Expect(t, one, "for both")
		conntest.Expect(t, two, "for both")
	})
}

func TestInterfaceByAddr(t *testing.T) {
	l := newLAN(t)
	l.near.Do(func() {
		for _, addr := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1%" + l.nearEnd.Name} {
			ifi, err := datagram.InterfaceByAddr(netip.MustParseAddr(addr))
			if err != nil || ifi.Index != l.nearEnd.Index || ifi.Name != l.nearEnd.Name {
				t.Errorf("%s: %v, %v; want %v", addr, ifi, err, l.nearEnd)
			}
		}
		for _, addr := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if ifi, err := datagram.InterfaceByAddr(addr); ifi != nil || err != nil {
				t.Errorf("%v: %v, %v; want nil, nil", addr, ifi, err)
			}
		}
		for _, addr := range []string{"192.0.2.2", "2001:db8::2"} { // the other host's
			if ifi, err := datagram.InterfaceByAddr(netip.MustParseAddr(addr)); !errors.Is(err, syscall.ENODEV) {
				t.Errorf("%s: %v, %v; want ENODEV", addr, ifi, err)
			}
		}
		if _, err := datagram.InterfaceByAddr(netip.MustParseAddr("fe80::1%nowhere")); err == nil {
			t.Error("an unknown zone has an interface")
		}
		if _, err := datagram.InterfaceByAddr(netip.Addr{}); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("no address: %v, want EINVAL", err)
		}
	})
}

// payloads returns what a handle receives up to the last payload that is
// expected, sorted: what comes through two interfaces has no order.
func payloads(t *testing.T, c *datagram.Conn, n int) []string {
	t.Helper()
	var got []string
	for range n {
		got = append(got, string(conntest.Next(t, c).Payload))
	}
	slices.Sort(got)
	return got
}
