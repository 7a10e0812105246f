package systemtest_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// A twoLANs is a host, near, with two Ethernets, and one host on each of them.
// Both hosts have the same addresses, as have all interfaces of near.
type twoLANs struct {
	near    *netns.Namespace
	far     [2]*netns.Namespace
	nearEnd [2]*net.Interface
	farEnd  [2]*net.Interface
}

func newTwoLANs(t *testing.T) *twoLANs {
	t.Helper()
	l := &twoLANs{near: netns.New(t)}
	for i := range l.far {
		l.far[i] = netns.New(t)
		l.nearEnd[i], l.farEnd[i] = netns.Link(l.near, l.far[i])
		l.far[i].Addresses(l.farEnd[i], "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")
	}
	l.near.Addresses(l.nearEnd[0], "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
	l.near.Addresses(l.nearEnd[1], "198.51.100.1/24", "2001:db8:1::1/64", "fe80::1/64")
	// Else the system would not believe that 192.0.2.2 is behind the second.
	l.near.Sysctl("net/ipv4/conf/all/rp_filter", "0")
	return l
}

func TestMulticastSeveralInterfaces(t *testing.T) {
	l := newTwoLANs(t)
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.near, f.network, ":0")
		// A witness on every interface tells when a datagram has been seen.
		witness := listenIn(t, l.near, f.network, ":0")
		var sender [2]*datagram.Conn
		for i := range sender {
			sender[i] = groupSender(t, l.far[i], f, l.farEnd[i])
			membership(t, witness.JoinGroup(f.group, l.nearEnd[i]))
		}
		// announce sends through both and waits until both have arrived.
		announce := func() {
			for i := range sender {
				conntest.Send(t, sender[i], datagram.To(at(f.group, receiver), []byte{'0' + byte(i)}))
				conntest.Send(t, sender[i], datagram.To(at(f.group, witness), []byte{'0' + byte(i)}))
			}
			payloads(t, witness, len(sender))
		}
		want := func(interfaces ...int) {
			t.Helper()
			announce()
			for range interfaces {
				d := conntest.Next(t, receiver)
				i := int(d.Payload[0] - '0')
				if !slices.Contains(interfaces, i) || d.Meta.IfIndex != l.nearEnd[i].Index {
					t.Errorf("received %q through interface %d, want those of %v", d.Payload, d.Meta.IfIndex, interfaces)
				}
			}
		}
		want()
		membership(t, receiver.JoinGroup(f.group, l.nearEnd[0]))
		want(0)
		membership(t, receiver.JoinGroup(f.group, l.nearEnd[1]))
		want(0, 1)
		membership(t, receiver.LeaveGroup(f.group, l.nearEnd[0]))
		want(1)
		if err := receiver.LeaveGroup(f.group, l.nearEnd[0]); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("leave at the other interface again: %v, want EADDRNOTAVAIL", err)
		}
		membership(t, receiver.LeaveGroup(f.group, l.nearEnd[1]))
		want()
	})
}

// Without an interface the route to the group decides.
func TestMulticastInterfaceOfTheSystem(t *testing.T) {
	l := newTwoLANs(t)
	l.near.IP("route add 224.0.0.0/4 dev %s", l.nearEnd[1].Name)
	l.near.IP("-6 route add table local multicast ff00::/8 dev %s metric 1", l.nearEnd[1].Name)
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.near, f.network, ":0")
		membership(t, receiver.JoinGroup(f.group, nil))
		conntest.Send(t, groupSender(t, l.far[0], f, l.farEnd[0]), datagram.To(at(f.group, receiver), []byte("wrong")))
		conntest.Send(t, groupSender(t, l.far[1], f, l.farEnd[1]), datagram.To(at(f.group, receiver), []byte("right")))
		conntest.Expect(t, receiver, "right")
		membership(t, receiver.LeaveGroup(f.group, nil))

		// Sending without one is as well the route's.
		far := listenIn(t, l.far[1], f.network, ":0")
		membership(t, far.JoinGroup(f.group, l.farEnd[1]))
		conntest.Send(t, receiver, datagram.To(at(f.group, far), []byte("out")))
		conntest.Expect(t, far, "out")
	})
}

// Three ways to say where a datagram to a group goes.
func TestMulticastOutgoingInterface(t *testing.T) {
	l := newTwoLANs(t)
	eachFamily(t, func(t *testing.T, f family) {
		var receiver [2]*datagram.Conn
		for i := range receiver {
			receiver[i] = listenIn(t, l.far[i], f.network, netip.AddrPortFrom(wildcard(f), 7777).String())
			membership(t, receiver[i].JoinGroup(f.group, l.farEnd[i]))
		}
		sender := listenIn(t, l.near, f.network, ":0")
		if ifi, err := sender.MulticastInterface(); ifi != nil || err != nil {
			t.Errorf("the interface is %v, %v before one is set", ifi, err)
		}
		group := netip.AddrPortFrom(f.group, 7777)
		for i := range receiver {
			l.near.Do(func() {
				if err := sender.SetMulticastInterface(l.nearEnd[i]); err != nil {
					t.Fatal(err)
				}
				if ifi, err := sender.MulticastInterface(); err != nil || ifi.Index != l.nearEnd[i].Index {
					t.Errorf("the interface is %v, %v; want %v", ifi, err, l.nearEnd[i])
				}
			})
			conntest.Send(t, sender, datagram.To(group, []byte("set")))
			conntest.Expect(t, receiver[i], "set")

			// Each datagram may name its own, whatever is set.
			named := datagram.To(group, []byte("named"))
			named.Meta.IfIndex = l.nearEnd[1-i].Index
			conntest.Send(t, sender, named)
			conntest.Expect(t, receiver[1-i], "named")
			if f.network == "udp6" {
				zoned := netip.AddrPortFrom(f.group.WithZone(l.nearEnd[1-i].Name), 7777)
				unset := listenIn(t, l.near, f.network, ":0")
				conntest.Send(t, unset, datagram.To(zoned, []byte("zoned")))
				conntest.Expect(t, receiver[1-i], "zoned")
			}
		}
		if err := sender.SetMulticastInterface(nil); err != nil {
			t.Fatal(err)
		}
		if ifi, err := sender.MulticastInterface(); ifi != nil || err != nil {
			t.Errorf("the interface is %v, %v after it was unset", ifi, err)
		}
	})
}

// Linux itself heeds the zone of a destination only if that is link-local.
func TestMulticastZoneOfWideGroup(t *testing.T) {
	l := newTwoLANs(t)
	group := netip.MustParseAddr("ff05::7")
	sender := listenIn(t, l.near, "udp6", ":0")
	for i := range l.far {
		receiver := listenIn(t, l.far[i], "udp6", "[::]:7777")
		membership(t, receiver.JoinGroup(group, l.farEnd[i]))
		zoned := netip.AddrPortFrom(group.WithZone(l.nearEnd[i].Name), 7777)
		conntest.Send(t, sender, datagram.To(zoned, []byte("zoned")))
		conntest.Expect(t, receiver, "zoned")

		// The interface of the metadata counts more, as for other destinations.
		named := datagram.To(netip.AddrPortFrom(group.WithZone(l.nearEnd[1-i].Name), 7777), []byte("named"))
		named.Meta.IfIndex = l.nearEnd[i].Index
		conntest.Send(t, sender, named)
		conntest.Expect(t, receiver, "named")
	}
}

// wildcard is the wildcard address of a family.
func wildcard(f family) netip.Addr {
	if f.group.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func TestMulticastLoopback(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		local := listenIn(t, l.near, f.network, netip.AddrPortFrom(wildcard(f), 7777).String())
		remote := listenIn(t, l.far, f.network, netip.AddrPortFrom(wildcard(f), 7777).String())
		membership(t, local.JoinGroup(f.group, l.nearEnd))
		membership(t, remote.JoinGroup(f.group, l.farEnd))
		group := netip.AddrPortFrom(f.group, 7777)

		sender := groupSender(t, l.near, f, l.nearEnd)
		wantLoopback(t, sender, true)
		conntest.Send(t, sender, datagram.To(group, []byte("on")))
		conntest.Expect(t, local, "on")
		conntest.Expect(t, remote, "on")

		if err := sender.SetMulticastLoopback(false); err != nil {
			t.Fatal(err)
		}
		wantLoopback(t, sender, false)
		conntest.Send(t, sender, datagram.To(group, []byte("off")))
		conntest.Expect(t, remote, "off")
		conntest.Send(t, sender, datagram.To(at(f.near, local), []byte("unicast")))
		conntest.Expect(t, local, "unicast")

		quiet := groupSender(t, l.near, f, l.nearEnd, datagram.WithMulticastLoopback(false))
		wantLoopback(t, quiet, false)
		conntest.Send(t, quiet, datagram.To(group, []byte("off by option")))
		conntest.Expect(t, remote, "off by option")
		if err := quiet.SetMulticastLoopback(true); err != nil {
			t.Fatal(err)
		}
		conntest.Send(t, quiet, datagram.To(group, []byte("on again")))
		conntest.Expect(t, local, "on again")
	})
}

func wantLoopback(t *testing.T, c *datagram.Conn, want bool) {
	t.Helper()
	if on, err := c.MulticastLoopback(); on != want || err != nil {
		t.Errorf("loopback is %v, %v; want %v", on, err, want)
	}
}

func TestMulticastTTL(t *testing.T) {
	l := newLAN(t)
	// A dual-stack handle has one setting for both families.
	for _, network := range []string{"udp4", "udp6", "udp"} {
		t.Run(network, func(t *testing.T) {
			sender := listenIn(t, l.near, network, ":0", datagram.WithMulticastInterface(l.nearEnd))
			for _, f := range families {
				if network != "udp" && network != f.network {
					continue
				}
				receiver := listenIn(t, l.far, f.network, ":0", datagram.WithMetadata(datagram.MetaHopLimit))
				membership(t, receiver.JoinGroup(f.group, l.farEnd))
				for _, ttl := range []int{1, 7, 255} {
					if err := sender.SetMulticastTTL(ttl); err != nil {
						t.Fatal(err)
					}
					if got, err := sender.MulticastTTL(); got != ttl || err != nil {
						t.Errorf("TTL is %d, %v; want %d", got, err, ttl)
					}
					conntest.Send(t, sender, datagram.To(at(f.group, receiver), []byte("x")))
					if got := conntest.Expect(t, receiver, "x").Meta.HopLimit; got != ttl {
						t.Errorf("%s: received with TTL %d, want %d", f.network, got, ttl)
					}
				}
				// Unicast has its own.
				conntest.Send(t, sender, datagram.To(at(f.far, receiver), []byte("unicast")))
				if got := conntest.Expect(t, receiver, "unicast").Meta.HopLimit; got != 64 {
					t.Errorf("%s: unicast with TTL %d, want 64", f.network, got)
				}
				fresh := groupSender(t, l.near, f, l.nearEnd)
				conntest.Send(t, fresh, datagram.To(at(f.group, receiver), []byte("fresh")))
				if got := conntest.Expect(t, receiver, "fresh").Meta.HopLimit; got != 1 {
					t.Errorf("%s: TTL is %d by default, want 1", f.network, got)
				}
				optional := groupSender(t, l.near, f, l.nearEnd, datagram.WithMulticastTTL(9))
				conntest.Send(t, optional, datagram.To(at(f.group, receiver), []byte("option")))
				if got := conntest.Expect(t, receiver, "option").Meta.HopLimit; got != 9 {
					t.Errorf("%s: TTL by option is %d, want 9", f.network, got)
				}
			}
		})
	}
}

// Naming the interface alone leaves the address to the socket: that it is bound to, if any.
func TestInterfaceKeepsTheSourceAddress(t *testing.T) {
	l := newTwoLANs(t)
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far[1], f.network, ":0")
		membership(t, receiver.JoinGroup(f.group, l.farEnd[1]))
		for _, local := range []netip.Addr{f.near, {}} {
			address := ":0"
			if local.IsValid() {
				address = netip.AddrPortFrom(local, 0).String() // that of the first LAN
			}
			sender := listenIn(t, l.near, f.network, address)
			d := datagram.To(at(f.group, receiver), []byte("through the second"))
			d.Meta.IfIndex = l.nearEnd[1].Index
			conntest.Send(t, sender, d)
			if got := conntest.Next(t, receiver).Addr.Addr(); (got == f.near) != local.IsValid() {
				t.Errorf("bound to %q: received from %v", address, got)
			}
		}
	})
}

// A group with a zone is listened to as any other: on the wildcard address, with all that a wildcard handle has.
func TestListenOnGroupWithZone(t *testing.T) {
	l := newLAN(t)
	c := listenIn(t, l.near, "udp", "[ff02::7%"+l.nearEnd.Name+"]:0", datagram.WithTTL(7))
	if !c.Capabilities().Local.Active {
		t.Error("received datagrams do not tell where they were sent to")
	}
	if ttl := kernelOption(t, c, unix.SOL_IP, unix.IP_TTL); ttl != 7 {
		t.Errorf("TTL for IPv4 is %d", ttl)
	}
}
