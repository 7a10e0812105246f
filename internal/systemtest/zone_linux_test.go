package systemtest_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

var (
	nearLinkLocal = netip.MustParseAddr("fe80::1")
	farLinkLocal  = netip.MustParseAddr("fe80::2")
)

// Link-local addresses mean nothing without their interface.
func TestZoneBothWays(t *testing.T) {
	l := newLAN(t)
	for _, network := range []string{"udp6", "udp"} {
		server := listenIn(t, l.near, network, ":0")
		client := listenIn(t, l.far, network, ":0")
		conntest.Send(t, client, datagram.To(at(nearLinkLocal.WithZone(l.farEnd.Name), server), []byte("question")))
		question := conntest.Expect(t, server, "question")
		if want := at(farLinkLocal.WithZone(l.nearEnd.Name), client); question.Addr != want {
			t.Errorf("%s: question from %v, want %v", network, question.Addr, want)
		}
		if want := nearLinkLocal.WithZone(l.nearEnd.Name); question.Meta.Local != want || question.Meta.IfIndex != l.nearEnd.Index {
			t.Errorf("%s: question to %v through %d, want %v, %d", network,
				question.Meta.Local, question.Meta.IfIndex, want, l.nearEnd.Index)
		}
		conntest.Send(t, server, question.Reply([]byte("answer")))
		if got, want := conntest.Expect(t, client, "answer").Addr, at(nearLinkLocal.WithZone(l.farEnd.Name), server); got != want {
			t.Errorf("%s: answer from %v, want %v", network, got, want)
		}
		// The address by itself, without what Reply knows, will do as well.
		conntest.Send(t, server, datagram.To(question.Addr, []byte("once more")))
		conntest.Expect(t, client, "once more")
	}
}

func TestZoneOfConnectedHandle(t *testing.T) {
	l := newLAN(t)
	server := listenIn(t, l.near, "udp6", netip.AddrPortFrom(nearLinkLocal.WithZone(l.nearEnd.Name), 0).String())
	if got := server.LocalAddr().Addr(); got != nearLinkLocal.WithZone(l.nearEnd.Name) {
		t.Errorf("bound to %v", got)
	}
	peer := at(nearLinkLocal.WithZone(l.farEnd.Name), server)
	client := dialIn(t, l.far, "udp6", peer)
	if got := client.RemoteAddr(); got != peer {
		t.Errorf("connected to %v, want %v", got, peer)
	}
	if got := client.LocalAddr().Addr(); got != farLinkLocal.WithZone(l.farEnd.Name) {
		t.Errorf("connected from %v", got)
	}
	conntest.Send(t, client, datagram.To(netip.AddrPort{}, []byte("question")))
	conntest.Send(t, server, conntest.Expect(t, server, "question").Reply([]byte("answer")))
	if got := conntest.Expect(t, client, "answer").Addr; got != peer {
		t.Errorf("answer from %v, want %v", got, peer)
	}
}

// An interface may be renamed. The handle's peer stays who it is.
func TestZoneRenamed(t *testing.T) {
	l := newLAN(t)
	server := listenIn(t, l.near, "udp6", ":0")
	client := dialIn(t, l.far, "udp6", at(nearLinkLocal.WithZone(l.farEnd.Name), server))
	conntest.Send(t, client, datagram.To(netip.AddrPort{}, []byte("question")))
	question := conntest.Expect(t, server, "question")
	l.far.IP("link set %s name renamed", l.farEnd.Name)
	conntest.Send(t, server, question.Reply([]byte("answer")))
	conntest.Expect(t, client, "answer")
	conntest.Send(t, client, datagram.To(netip.AddrPort{}, []byte("another")))
	conntest.Expect(t, server, "another")
}

// Two hosts with the same link-local address on two interfaces are told apart by the zone alone.
func TestZoneTellsHostsApart(t *testing.T) {
	l := newTwoLANs(t)
	for _, network := range []string{"udp6", "udp"} {
		server := listenIn(t, l.near, network, ":0")
		var client [2]*datagram.Conn
		var question [2]datagram.Datagram
		for i := range client {
			client[i] = dialIn(t, l.far[i], "udp6", at(nearLinkLocal.WithZone(l.farEnd[i].Name), server))
			conntest.Send(t, client[i], datagram.To(netip.AddrPort{}, []byte("question")))
			question[i] = conntest.Expect(t, server, "question")
			if got := question[i].Addr.Addr(); got != farLinkLocal.WithZone(l.nearEnd[i].Name) {
				t.Errorf("%s: question of %d from %v", network, i, got)
			}
		}
		for i := range client {
			conntest.Send(t, server, question[i].Reply([]byte{'0' + byte(i)}))
			conntest.Send(t, server, datagram.To(question[i].Addr, []byte{'2' + byte(i)}))
		}
		for i := range client {
			conntest.Expect(t, client[i], string(byte('0'+i)))
			conntest.Expect(t, client[i], string(byte('2'+i)))
		}
	}
}

// What goes to a zone that does not exist must not leave by an interface that does.
func TestZoneUnknown(t *testing.T) {
	l := newLAN(t)
	receiver := listenIn(t, l.far, "udp6", ":0")
	membership(t, receiver.JoinGroup(families[1].group, l.farEnd))
	sender := listenIn(t, l.near, "udp6", ":0")
	for _, addr := range []netip.Addr{farLinkLocal, families[1].group} {
		if err := conntest.Outcome(t, sender, datagram.To(at(addr.WithZone("nowhere"), receiver), []byte("x"))); err == nil {
			t.Errorf("sending to %v succeeded", addr.WithZone("nowhere"))
		}
	}
}

// Link-local addresses of IPv4 have no zone to say where an answer belongs: Reply
// sends it through the interface that the question came by.
func TestLinkLocalIPv4(t *testing.T) {
	l := newTwoLANs(t)
	near, far := netip.MustParseAddr("169.254.0.1"), netip.MustParseAddr("169.254.0.2")
	for i := range l.far {
		l.near.Addresses(l.nearEnd[i], near.String()+"/16")
		l.far[i].Addresses(l.farEnd[i], far.String()+"/16")
	}
	for _, network := range []string{"udp4", "udp"} {
		server := listenIn(t, l.near, network, ":0")
		for i := range l.far {
			client := dialIn(t, l.far[i], "udp4", at(near, server))
			conntest.Send(t, client, datagram.To(netip.AddrPort{}, []byte("question")))
			conntest.Send(t, server, conntest.Expect(t, server, "question").Reply([]byte("answer")))
			conntest.Expect(t, client, "answer")
		}
	}
}

// A group's zone names the interface to join on.
func TestJoinGroupOfAZone(t *testing.T) {
	l := newLAN(t)
	l.far.Do(func() {
		c := conntest.Listen(t, "udp6", "[::]:0")
		group := families[1].group
		if err := c.JoinGroup(group.WithZone(l.farEnd.Name), nil); err != nil {
			t.Fatal(err)
		}
		if err := c.LeaveGroup(group, l.farEnd); err != nil {
			t.Errorf("joined elsewhere: %v", err)
		}
		if err := c.JoinGroup(group.WithZone("nowhere"), nil); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("an interface that does not exist: %v", err)
		}
	})
}
