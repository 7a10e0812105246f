package systemtest_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// makeAnew removes the link of a LAN and makes one with the same names and addresses in its place.
func (l *lan) makeAnew(t *testing.T) {
	t.Helper()
	near, far := l.nearEnd.Name, l.farEnd.Name
	l.near.IP("link delete %s", near)
	a, b := netns.Link(l.near, l.far)
	l.nearEnd, l.farEnd = rename(l.near, a, near), rename(l.far, b, far)
	l.near.Addresses(l.nearEnd, "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
	l.far.Addresses(l.farEnd, "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")
}

func rename(n *netns.Namespace, ifi *net.Interface, name string) *net.Interface {
	n.IP("link set %s down", ifi.Name)
	n.IP("link set %s name %s", ifi.Name, name)
	n.IP("link set %s up", name)
	n.AwaitUp(name)
	return n.Interface(name)
}

// What a zone stands for is remembered, until that interface is no longer there.
func TestZoneOfInterfaceMadeAnew(t *testing.T) {
	for _, way := range []struct {
		name string
		opts []datagram.Option
	}{{"batches", nil}, {"portable", []datagram.Option{conntest.Portable()}}} {
		t.Run(way.name, func(t *testing.T) {
			l := newLAN(t)
			receiver := listenIn(t, l.far, "udp6", ":0")
			c := listenIn(t, l.near, "udp6", ":0", way.opts...)
			lazy := conntest.Open(t, newSocket(t, l.near, unix.AF_INET6, unix.SOCK_DGRAM, 0), way.opts...)
			member := listenIn(t, l.near, "udp6", ":0", way.opts...)
			group := families[1].group
			to := at(farLinkLocal.WithZone(l.nearEnd.Name), receiver)
			conntest.Send(t, c, datagram.To(to, []byte("before")))
			conntest.Expect(t, receiver, "before")
			conntest.Send(t, lazy, datagram.To(to, []byte("before")))
			conntest.Expect(t, receiver, "before")
			membership(t, member.JoinGroup(group.WithZone(l.nearEnd.Name), nil))

			l.makeAnew(t)
			conntest.Send(t, c, datagram.To(to, []byte("after")))
			conntest.Expect(t, receiver, "after")
			from := datagram.To(to, []byte("from"))
			from.Meta.Local = nearLinkLocal.WithZone(l.nearEnd.Name)
			conntest.Send(t, c, from)
			conntest.Expect(t, receiver, "from")
			d := datagram.To(netip.AddrPortFrom(families[1].far, to.Port()), []byte("from a zone"))
			d.Meta.Local = nearLinkLocal.WithZone(l.nearEnd.Name)
			conntest.Send(t, c, d)
			conntest.Expect(t, receiver, "from a zone")
			if err := lazy.Connect(to); err != nil {
				t.Fatal(err)
			}
			conntest.Send(t, lazy, conntest.ToPeer("connected"))
			conntest.Expect(t, receiver, "connected")
			membership(t, member.JoinGroup(group.WithZone(l.nearEnd.Name), nil))
		})
	}
}

// What else refers to an interface refers to the one that has gone, until the program names the new one.
func TestInterfaceMadeAnew(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		l := newLAN(t)
		receiver := listenIn(t, l.far, f.network, ":0")
		bound := listenIn(t, l.near, f.network, ":0", datagram.WithInterface(l.nearEnd.Name))
		sender := listenIn(t, l.near, f.network, ":0", datagram.WithMulticastInterface(l.nearEnd))
		l.makeAnew(t)
		gone := map[string]error{"udp4": syscall.ENODEV, "udp6": syscall.ENETUNREACH}[f.network]
		unicast := datagram.To(at(f.far, receiver), []byte("x"))
		if err := conntest.Outcome(t, bound, unicast); !errors.Is(err, gone) {
			t.Errorf("bound to an interface that has gone: %v, want %v", err, gone)
		}
		anew := listenIn(t, l.near, f.network, ":0", datagram.WithInterface(l.nearEnd.Name))
		conntest.Send(t, anew, unicast)
		conntest.Expect(t, receiver, "x")

		membership(t, receiver.JoinGroup(f.group, l.farEnd))
		group := datagram.To(at(f.group, receiver), []byte("to the group"))
		if err := conntest.Outcome(t, sender, group); !errors.Is(err, gone) {
			t.Errorf("multicast interface that has gone: %v, want %v", err, gone)
		}
		if ifi, err := sender.MulticastInterface(); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("it is %v, %v; want ENODEV", ifi, err)
		}
		membership(t, sender.SetMulticastInterface(l.nearEnd))
		conntest.Send(t, sender, group)
		conntest.Expect(t, receiver, "to the group")
	})
}

// A connected handle keeps the address that the system chose when it was connected.
func TestAddressThatChangesUnderDial(t *testing.T) {
	eachFamily(t, func(t *testing.T, f family) {
		l := newLAN(t)
		receiver := listenIn(t, l.far, f.network, ":0")
		c := dialIn(t, l.near, f.network, at(f.far, receiver))
		other := map[string]string{"udp4": "192.0.2.77/24", "udp6": "2001:db8::77/64"}[f.network]
		l.near.Addresses(l.nearEnd, other)
		l.near.IP("address delete %s/%d dev %s", f.near, map[string]int{"udp4": 24, "udp6": 64}[f.network], l.nearEnd.Name)
		l.near.IP("address replace %s dev %s", other, l.nearEnd.Name) // of IPv4 it has gone with the first
		// The kernel refuses that for IPv4 alone.
		if err := conntest.Outcome(t, c, conntest.ToPeer("from the old")); f.network == "udp4" && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("from an address that has gone: %v, want ENETUNREACH", err)
		} else if f.network == "udp6" {
			conntest.Expect(t, receiver, "from the old")
		}
		peer := c.RemoteAddr()
		if err := errors.Join(c.Disconnect(), c.Connect(peer)); err != nil {
			t.Fatal(err)
		}
		conntest.Send(t, c, conntest.ToPeer("from the new"))
		if from := conntest.Expect(t, receiver, "from the new").Addr; from.Addr() != netip.MustParsePrefix(other).Addr() {
			t.Errorf("from %v, want %v", from, other)
		}
	})
}
