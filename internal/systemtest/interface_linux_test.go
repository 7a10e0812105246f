package systemtest_test

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// A handle that is bound to an interface receives and sends through no other, whatever the
// routes say.
func TestWithInterface(t *testing.T) {
	l := newTwoLANs(t)
	// The worse route to the network of the first interface is behind the second.
	l.near.IP("route add 192.0.2.0/24 dev %s metric 5000", l.nearEnd[1].Name)
	l.near.IP("-6 route add 2001:db8::/64 dev %s metric 5000", l.nearEnd[1].Name)
	// Neighbours on the second look for the address there.
	l.near.Addresses(l.nearEnd[1], "2001:db8::1/128")
	eachFamily(t, func(t *testing.T, f family) {
		var far [2]*datagram.Conn
		for i := range far {
			far[i] = listenIn(t, l.far[i], f.network, netip.AddrPortFrom(wildcard(f), 7777).String())
		}
		for i := range far {
			c := listenIn(t, l.near, f.network, ":0", datagram.WithInterface(l.nearEnd[i].Name))
			conntest.Send(t, c, datagram.To(at(f.far, far[0]), []byte("out")))
			conntest.Expect(t, far[i], "out")

			conntest.Send(t, far[1-i], datagram.To(at(f.near, c), []byte("wrong")))
			conntest.Send(t, far[i], datagram.To(at(f.near, c), []byte("right")))
			if d := conntest.Expect(t, c, "right"); d.Meta.IfIndex != l.nearEnd[i].Index {
				t.Errorf("received through %d, want %d", d.Meta.IfIndex, l.nearEnd[i].Index)
			}
		}
		// Two handles on one port, each on its own interface.
		one := listenIn(t, l.near, f.network, ":0", datagram.WithInterface(l.nearEnd[0].Name))
		two := listenIn(t, l.near, f.network, at(wildcard(f), one).String(), datagram.WithInterface(l.nearEnd[1].Name))
		conntest.Send(t, far[1], datagram.To(at(f.near, two), []byte("for two")))
		conntest.Send(t, far[0], datagram.To(at(f.near, one), []byte("for one")))
		conntest.Expect(t, one, "for one")
		conntest.Expect(t, two, "for two")
	})
}

func TestWithInterfaceUnknown(t *testing.T) {
	l := newLAN(t)
	const longest = "fifteen-letters"
	l.near.IP("link set %s down", l.nearEnd.Name)
	l.near.IP("link set %s name %s", l.nearEnd.Name, longest)
	l.near.Do(func() {
		// The kernel would take the beginning of some of these names.
		for _, name := range []string{"nowhere", longest + "!", longest + "\x00", "lo\x00"} {
			c, err := datagram.Listen(await.Context(t), "udp4", ":0", datagram.WithInterface(name))
			if !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), name) {
				t.Errorf("%q: %v, want ENODEV with the interface's name", name, err)
			}
			if c != nil {
				c.Close()
			}
		}
	})
}

// The interface of a single datagram.
func TestMetadataInterface(t *testing.T) {
	l := newTwoLANs(t)
	l.near.IP("route add 192.0.2.0/24 dev %s metric 5000", l.nearEnd[1].Name)
	l.near.IP("-6 route add 2001:db8::/64 dev %s metric 5000", l.nearEnd[1].Name)
	for _, network := range []string{"udp4", "udp6", "udp"} {
		c := listenIn(t, l.near, network, ":0")
		for _, f := range families {
			if network != "udp" && network != f.network {
				continue
			}
			for i := range l.far {
				far := listenIn(t, l.far[i], f.network, ":0")
				d := datagram.To(at(f.far, far), []byte("out"))
				d.Meta.IfIndex = l.nearEnd[i].Index
				conntest.Send(t, c, d)
				conntest.Expect(t, far, "out")
			}
			d := datagram.To(netip.AddrPortFrom(f.far, 7777), []byte("out"))
			d.Meta.IfIndex = 99_999
			if err := conntest.Outcome(t, c, d); !errors.Is(err, syscall.ENODEV) {
				t.Errorf("%s: an interface that does not exist: %v, want ENODEV", network, err)
			}
		}
	}
}
