package datagramtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// Errors about the address or route, as on Linux.
func TestNoRoute(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		outside := netip.AddrPortFrom(here, 7)
		inside := w.conn(w.Listen(w.Context(), "udp4", "127.0.0.1:0"))
		four := w.at(there) // on a host without IPv6
		six := w.conn(w.Listen(w.Context(), "udp6", "[::]:0"))
		both := w.conn(w.Listen(w.Context(), "udp", "[2001:db8::5]:0"))
		pinned := func(to netip.AddrPort, from string) datagram.Datagram {
			d := datagram.To(to, nil)
			d.Meta.Local = netip.MustParseAddr(from)
			return d
		}
		for i, test := range []struct {
			from *datagram.Conn
			d    datagram.Datagram
			want error
		}{
			{inside, datagram.To(outside, nil), syscall.EINVAL},
			{four, datagram.To(netip.MustParseAddrPort("[2001:db8::1]:7"), nil), syscall.EAFNOSUPPORT},
			{both, datagram.To(outside, nil), syscall.ENETUNREACH},
			{four, datagram.To(netip.AddrPortFrom(here, 0), nil), syscall.EINVAL},
			{four, pinned(outside, "10.0.0.1"), syscall.ENETUNREACH},
			{six, pinned(netip.MustParseAddrPort("[2001:db8::1]:7"), "2001:db8::77"), syscall.EINVAL},
			{four, datagram.To(outside, make([]byte, 65508)), syscall.EMSGSIZE},
			{four, pinned(outside, "2001:db8::1"), syscall.EAFNOSUPPORT},
			{six, datagram.To(outside, nil), syscall.ENETUNREACH},
		} {
			if _, err := test.from.TrySend(test.d); !errors.Is(err, test.want) {
				t.Errorf("%d: %v, want %v", i, err, test.want)
			}
		}
		w.want(datagramtest.Stats{})
		w.sendTo(four, netip.AddrPortFrom(netip.IPv4Unspecified(), four.LocalAddr().Port()), "to the loopback address")
		w.want(datagramtest.Stats{Sent: 1, Refused: 1})
	})
}

// A host without addresses of a family cannot send to that family.
func TestNoRouteOfTheFamily(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		six := netip.MustParseAddr("2001:db8::9")
		for _, pair := range [][2]netip.Addr{{here, six}, {six, here}} {
			host, err := w.AddHost(pair[0])
			if err != nil {
				t.Fatal(err)
			}
			to := netip.AddrPortFrom(pair[1], 7)
			group := netip.MustParseAddrPort("[ff02::5]:7")
			if to.Addr().Is4() {
				group = netip.MustParseAddrPort("239.1.2.3:7")
			}
			c := w.conn(host.Listen(w.Context(), "udp", ":7"))
			_, dialled := host.Dial(w.Context(), "udp", to.String())
			_, sent := c.TrySend(datagram.To(to, nil))
			_, toGroup := c.TrySend(datagram.To(group, nil))
			for name, err := range map[string]error{
				"send": sent, "send to a group": toGroup, "connect": c.Connect(to), "dial": dialled,
			} {
				if !errors.Is(err, syscall.ENETUNREACH) {
					t.Errorf("%s from %v to %v: %v", name, pair[0], pair[1], err)
				}
			}
		}
		w.want(datagramtest.Stats{})
	})
}

// oneName is a network with one name that has addresses of both families.
type oneName struct{ socket.Network }

func (oneName) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}, nil
}

// Dial picks the address of a name to which the host has a route.
func TestDialByNameFallsBack(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		name := hook.WrapNetwork(func(n socket.Network) socket.Network { return oneName{n} }).(datagram.Option)
		for from, want := range map[string]string{"10.0.0.7": "192.0.2.9:7", "2001:db8::7": "[2001:db8::9]:7"} {
			host, err := w.AddHost(netip.MustParseAddr(from))
			if err != nil {
				t.Fatal(err)
			}
			c := w.conn(host.Dial(w.Context(), "udp", "a.name:7", name))
			if got := c.RemoteAddr().String(); got != want {
				t.Errorf("from %s the peer is %s, want %s", from, got, want)
			}
		}
	})
}

// Zones name the host's interfaces.
func TestZones(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		host, err := w.AddHost(netip.MustParseAddr("2001:db8::1:1"), netip.MustParseAddr("fe80::1"))
		if err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]error{
			"[fe80::1]:1":             syscall.EINVAL,
			"[fe80::1%nowhere]:1":     syscall.EINVAL,
			"[fe80::1%lo]:1":          syscall.EADDRNOTAVAIL,
			"[fe80::1%7]:1":           syscall.ENODEV,
			"[fe80::1%2]:1":           nil,
			"[fe80::1%eth0]:2":        nil,
			"[2001:db8::1:1%eth0]:1":  nil,
			"[2001:db8::1:1%eth0]:99": nil,
		} {
			c, err := host.Listen(w.Context(), "udp", address)
			if !errors.Is(err, want) {
				t.Errorf("listen on %s: %v, want %v", address, err, want)
			}
			if err == nil {
				w.conn(c, nil)
			}
		}
		c := w.conn(host.Listen(w.Context(), "udp6", ":0"))
		for _, test := range []struct {
			to            string
			send, connect error
		}{
			{"[fe80::2]:7", nil, syscall.EINVAL},
			{"[fe80::2%eth0]:7", nil, nil},
			{"[fe80::2%lo]:7", syscall.ENETUNREACH, syscall.ENETUNREACH},
			{"[fe80::2%nowhere]:7", syscall.ENODEV, syscall.ENODEV},
			{"[ff02::5]:7", nil, syscall.EINVAL},
			{"[ff02::5%eth0]:7", nil, nil},
			{"[2001:db8::2%eth0]:7", nil, nil},
		} {
			to := netip.MustParseAddrPort(test.to)
			if _, err := c.TrySend(datagram.To(to, nil)); !errors.Is(err, test.send) {
				t.Errorf("send to %v: %v, want %v", to, err, test.send)
			}
			err := c.Connect(to)
			if !errors.Is(err, test.connect) {
				t.Errorf("connect to %v: %v, want %v", to, err, test.connect)
			}
			if err != nil {
				continue
			}
			// The source has the scope of the destination.
			source, near := c.LocalAddr().Addr(), to.Addr().IsLinkLocalUnicast() || to.Addr().IsLinkLocalMulticast()
			if source.IsLinkLocalUnicast() != near {
				t.Errorf("connected to %v from %v", to, source)
			}
			if err := c.Disconnect(); err != nil {
				t.Fatal(err)
			}
		}
		for group, want := range map[string]error{
			"ff02::1:1%eth0": nil, "ff02::1:2%lo": nil, "ff02::1:3%nowhere": syscall.ENODEV, "ff02::1:4%7": syscall.ENODEV,
		} {
			if err := c.JoinGroup(netip.MustParseAddr(group), nil); !errors.Is(err, want) {
				t.Errorf("join %v: %v, want %v", group, err, want)
			}
		}
		if err := c.LeaveGroup(netip.MustParseAddr("ff02::1:1"), host.Interface()); err != nil {
			t.Errorf("joined elsewhere: %v", err)
		}
	})
}

// What a handle with a loopback address sends to a group stays on the host, which receives it.
func TestMulticastFromLoopback(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		group := netip.MustParseAddrPort("239.1.2.3:7")
		sender := w.conn(w.Listen(w.Context(), "udp4", "127.0.0.1:0", datagram.WithMulticastLoopback(false)))
		member := w.conn(w.Listen(w.Context(), "udp4", ":7"))
		for _, index := range []int{1, 2} {
			if err := member.JoinGroup(group.Addr(), &net.Interface{Index: index}); err != nil {
				t.Fatal(err)
			}
		}
		w.sendTo(sender, group, "x")
		if d := w.next(member); d.Addr != sender.LocalAddr() || d.Meta.IfIndex != 1 {
			t.Errorf("received from %v at %+v", d.Addr, d.Meta)
		}
		w.nothing(member)
		six := w.conn(w.Listen(w.Context(), "udp6", ":8"))
		for c, want := range map[*datagram.Conn]error{six: syscall.ENODEV, member: syscall.EADDRNOTAVAIL} {
			if err := c.SetMulticastInterface(&net.Interface{Index: 77}); !errors.Is(err, want) {
				t.Errorf("an interface that is not there: %v, want %v", err, want)
			}
		}
	})
}

// The errors of a simulated network contain as much as those of the system.
func TestListenErrors(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		w.conn(w.Listen(w.Context(), "udp", "")) // an empty address means any, as for net.ListenPacket
		w.conn(w.Listen(w.Context(), "udp4", "10.0.0.1:53"))
		_, taken := w.Listen(w.Context(), "udp4", "10.0.0.1:53")
		_, refused := w.Listen(w.Context(), "udp4", "10.0.0.1:54", datagram.WithInterface("eth1"))
		_, unknown := w.Listen(w.Context(), "udp6", "server.example:53")
		for err, want := range map[error]net.OpError{
			taken:   {Net: "udp4", Addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:53")), Err: syscall.EADDRINUSE},
			refused: {Net: "udp4", Addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:54")), Err: syscall.ENODEV},
			unknown: {Net: "udp6"},
		} {
			var got *net.OpError
			if !errors.As(err, &got) || got.Op != "listen" || got.Net != want.Net || fmt.Sprint(got.Addr) != fmt.Sprint(want.Addr) ||
				want.Err != nil && !errors.Is(got, want.Err) {
				t.Errorf("%v, want %+v", err, want)
			}
		}
	})
}
