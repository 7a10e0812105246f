package systemtest_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

func TestBroadcast(t *testing.T) {
	l := newLAN(t)
	l.near.IP("route add default dev %s", l.nearEnd.Name)
	for _, to := range []string{"192.0.2.255", "255.255.255.255"} {
		for _, network := range []string{"udp4", "udp"} {
			t.Run(network+" "+to, func(t *testing.T) {
				receiver := listenIn(t, l.far, network, ":0")
				everyone := at(netip.MustParseAddr(to), receiver)
				sender := listenIn(t, l.near, network, ":0")
				if err := conntest.Outcome(t, sender, datagram.To(everyone, []byte("off"))); !errors.Is(err, syscall.EACCES) {
					t.Errorf("by default: %v, want EACCES", err)
				}
				if err := sender.SetBroadcast(true); err != nil {
					t.Fatal(err)
				}
				conntest.Send(t, sender, datagram.To(everyone, []byte("on")))
				d := conntest.Expect(t, receiver, "on")
				if d.Meta.Local != everyone.Addr() {
					t.Errorf("sent to %v, want %v", d.Meta.Local, everyone.Addr())
				}
				// The broadcast address is nothing to answer from.
				conntest.Send(t, receiver, d.Reply([]byte("answer")))
				if got, want := conntest.Expect(t, sender, "answer").Addr, at(families[0].far, receiver); got != want {
					t.Errorf("answer from %v, want %v", got, want)
				}
				if err := sender.SetBroadcast(false); err != nil {
					t.Fatal(err)
				}
				if _, err := sender.TrySend(datagram.To(everyone, []byte("off again"))); !errors.Is(err, syscall.EACCES) {
					t.Errorf("turned off: %v, want EACCES", err)
				}
				option := listenIn(t, l.near, network, ":0", datagram.WithBroadcast())
				conntest.Send(t, option, datagram.To(everyone, []byte("by option")))
				conntest.Expect(t, receiver, "by option")
			})
		}
	}
}

// A connected handle is refused when it connects.
func TestBroadcastConnected(t *testing.T) {
	l := newLAN(t)
	receiver := listenIn(t, l.far, "udp4", ":0")
	everyone := at(netip.MustParseAddr("192.0.2.255"), receiver)
	c := listenIn(t, l.near, "udp4", ":0")
	if err := c.Connect(everyone); !errors.Is(err, syscall.EACCES) {
		t.Errorf("connect: %v, want EACCES", err)
	}
	if c.RemoteAddr().IsValid() {
		t.Errorf("connected to %v", c.RemoteAddr())
	}
	if err := c.SetBroadcast(true); err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(everyone); err != nil {
		t.Fatal(err)
	}
	conntest.Send(t, c, datagram.To(netip.AddrPort{}, []byte("x")))
	conntest.Expect(t, receiver, "x")
}
