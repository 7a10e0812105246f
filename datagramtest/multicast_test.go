package datagramtest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestMulticast(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Millisecond}, func(w *world) {
		hosts := make([]*datagramtest.Host, 3)
		for i := range hosts {
			var err error
			hosts[i], err = w.AddHost(netip.AddrFrom4([4]byte{10, 2, 0, byte(i)}), netip.MustParseAddr(fmt.Sprintf("fe80::%d", i+1)))
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, group := range []netip.AddrPort{netip.MustParseAddrPort("239.1.2.3:500"), netip.MustParseAddrPort("[ff02::123]:501")} {
			base := w.Stats()
			var members []*datagram.Conn
			for i, host := range hosts {
				member := w.conn(host.Listen(w.Context(), "udp", fmt.Sprintf(":%d", group.Port())))
				if i < 2 {
					ifi := host.Interface()
					if i == 1 {
						ifi = nil
					}
					if err := member.JoinGroup(group.Addr(), ifi); err != nil {
						t.Fatal(err)
					}
				}
				members = append(members, member)
			}
			w.sendTo(members[0], group, "everybody")
			for _, member := range members[:2] {
				if d := w.next(member); string(d.Payload) != "everybody" || d.Meta.Local != group.Addr() ||
					d.Reply(nil).Meta.Local.IsValid() {
					t.Errorf("received %q at %+v", d.Payload, d.Meta)
				}
			}
			if err := members[0].SetMulticastLoopback(false); err != nil {
				t.Fatal(err)
			}
			w.sendTo(members[0], group, "the others")
			w.expect(members[1], "the others")
			w.sendTo(members[1], group, "under way")
			if err := members[1].LeaveGroup(group.Addr(), nil); err != nil {
				t.Fatal(err)
			}
			w.expect(members[0], "under way")
			w.sendTo(members[0], group, "nobody")
			for _, c := range members {
				w.nothing(c)
			}
			s := w.Stats()
			if sent, delivered, lost := s.Sent-base.Sent, s.Delivered-base.Delivered, s.Lost-base.Lost; sent != 6 || delivered != 4 || lost != 2 {
				t.Errorf("%v: %d sent, %d delivered, %d lost", group, sent, delivered, lost)
			}
		}
	})
}

func TestBroadcast(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		host, err := w.AddHost(here)
		if err != nil {
			t.Fatal(err)
		}
		a, b := w.conn(host.Listen(w.Context(), "udp", ":67")), w.conn(w.Listen(w.Context(), "udp4", ":67"))
		everybody := netip.MustParseAddrPort("255.255.255.255:67")
		if _, err := b.TrySend(datagram.To(everybody, nil)); !errors.Is(err, syscall.EACCES) {
			t.Errorf("without permission: %v", err)
		}
		if err := b.SetBroadcast(true); err != nil {
			t.Fatal(err)
		}
		w.sendTo(b, everybody, "hello")
		w.expect(a, "hello")
		w.expect(b, "hello")
	})
}

// A datagram travels once to each host, and all members there share its fate.
func TestMembersOfOneHost(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Rate: 1000, Loss: 0.5, Duplicate: 0.5}, func(w *world) {
		host, err := w.AddHost(there)
		if err != nil {
			t.Fatal(err)
		}
		group := netip.MustParseAddrPort("239.1.2.3:500")
		var members []*datagram.Conn
		for range 2 {
			c := w.conn(host.Listen(w.Context(), "udp4", ":500", datagram.WithReuseAddr()))
			if err := c.JoinGroup(group.Addr(), nil); err != nil {
				t.Fatal(err)
			}
			members = append(members, c)
		}
		sender := w.at(here)
		for range 50 {
			w.sendTo(sender, group, strings.Repeat("x", 1000))
		}
		if s := w.Stats(); s.Held != 100+s.Duplicated-s.Lost {
			t.Error(s)
		}
		time.Sleep(50 * time.Second) // the time that the link needs for all
		s := w.Stats()
		if s.Held != 0 || s.Sent != 100 || s.Lost == 0 || s.Lost%2 != 0 || s.Duplicated == 0 || s.Duplicated%2 != 0 {
			t.Error(s)
		}
		for _, c := range members {
			for range s.Delivered / 2 {
				w.next(c)
			}
			w.nothing(c)
		}
	})
}

// The link to a member is the one to its host's address, whatever its other properties.
func TestMulticastLinks(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		group := netip.MustParseAddrPort("239.1.2.3:500")
		var conns []*datagram.Conn
		for _, addrs := range [][]netip.Addr{{beyond, here}, {there}} {
			host, err := w.AddHost(addrs...)
			if err != nil {
				t.Fatal(err)
			}
			c := w.conn(host.Listen(w.Context(), "udp4", ":500"))
			if err := c.JoinGroup(group.Addr(), nil); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		sender := w.at(here) // not the first address of its host
		for _, test := range []struct {
			from, to netip.Prefix
			link     datagramtest.Link
			reached  [2]bool
		}{
			{only(here), only(there), datagramtest.Link{Loss: 1}, [2]bool{true, false}},
			{only(here), only(there), datagramtest.Link{MTU: 576}, [2]bool{true, false}},
			{only(here), only(here), datagramtest.Link{MTU: 576}, [2]bool{false, true}},
			{all, only(group.Addr()), datagramtest.Link{Loss: 1, MTU: 576}, [2]bool{true, true}},
		} {
			w.SetLink(all, all, datagramtest.Link{})
			w.SetLink(test.from, test.to, test.link)
			before := w.Stats()
			w.sendTo(sender, group, strings.Repeat("x", 600))
			for i, c := range conns {
				if test.reached[i] {
					w.next(c)
				}
				w.nothing(c)
			}
			lost := uint64(0)
			if !test.reached[0] || !test.reached[1] {
				lost = 1
			}
			if after := w.Stats(); after.Sent != before.Sent+2 || after.Lost != before.Lost+lost {
				t.Errorf("%+v: %v", test, after)
			}
		}
	})
}

// Joining and leaving have the outcomes of Linux, including odd ones: a source joined after the group narrows
// the membership to that source, and leaving the last source leaves the group.
func TestMemberships(t *testing.T) {
	for _, family := range []struct{ group, source, other string }{
		{"239.1.2.3", "10.0.0.1", "10.0.0.3"}, {"ff02::123", "2001:db8::5", "2001:db8::6"},
	} {
		simulate(t, 1, datagramtest.Link{}, func(w *world) {
			group, source, other := netip.MustParseAddr(family.group), netip.MustParseAddr(family.source), netip.MustParseAddr(family.other)
			to := netip.AddrPortFrom(group, 7)
			c := w.conn(w.Host().Listen(w.Context(), "udp", ":7"))
			sender, stranger := w.at(source), w.at(other)
			ifi, gone := w.Host().Interface(), &net.Interface{Index: 77}
			join := func(ifi *net.Interface) error { return c.JoinGroup(group, ifi) }
			leave := func(ifi *net.Interface) error { return c.LeaveGroup(group, ifi) }
			joinSource := func(ifi *net.Interface) error { return c.JoinSourceGroup(group, source, ifi) }
			leaveSource := func(ifi *net.Interface) error { return c.LeaveSourceGroup(group, source, ifi) }
			for i, step := range []struct {
				call                func(*net.Interface) error
				ifi                 *net.Interface
				want                error
				hears, hearsSomeone bool // the source, others
			}{
				{join, gone, syscall.ENODEV, false, false},
				{joinSource, gone, syscall.ENODEV, false, false},
				{leaveSource, gone, syscall.ENODEV, false, false},
				{leave, gone, syscall.EADDRNOTAVAIL, false, false},
				{leaveSource, ifi, syscall.EINVAL, false, false},
				{joinSource, ifi, nil, true, false},
				{joinSource, ifi, syscall.EADDRNOTAVAIL, true, false},
				{join, ifi, syscall.EADDRINUSE, true, false},
				{leaveSource, ifi, nil, false, false},
				{leave, ifi, syscall.EADDRNOTAVAIL, false, false},
				{join, ifi, nil, true, true},
				{join, ifi, syscall.EADDRINUSE, true, true},
				{joinSource, ifi, nil, true, false},
				{leave, ifi, nil, false, false},
				{join, ifi, nil, true, true},
				{leaveSource, ifi, syscall.EADDRNOTAVAIL, false, false},
				{leave, ifi, nil, false, false},
			} {
				if err := step.call(step.ifi); !errors.Is(err, step.want) {
					t.Errorf("%v, step %d: %v, want %v", group, i, err, step.want)
				}
				for from, want := range map[*datagram.Conn]bool{sender: step.hears, stranger: step.hearsSomeone} {
					before := w.Stats().Delivered
					w.sendTo(from, to, "x")
					if got := w.Stats().Delivered > before; got != want {
						t.Errorf("%v, step %d: heard: %v, want %v", group, i, got, want)
					}
				}
			}
			limit, err := 0, error(nil)
			for addr := source; err == nil; limit, addr = limit+1, addr.Next() {
				err = c.JoinSourceGroup(group, addr, nil)
			}
			if want := map[bool]int{true: 11, false: 65}[group.Is4()]; limit != want || !errors.Is(err, syscall.ENOBUFS) {
				t.Errorf("source %d of %v: %v", limit, group, err)
			}
			limit, err = 1, nil
			for addr := group.Next(); err == nil && limit < 30; limit, addr = limit+1, addr.Next() {
				err = c.JoinGroup(addr, nil)
			}
			if group.Is4() != errors.Is(err, syscall.ENOBUFS) || group.Is4() && limit != 21 {
				t.Errorf("group %d with %v: %v", limit, group, err)
			}
		})
	}
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		c := w.conn(w.Host().Listen(w.Context(), "udp4", ":7"))
		if err := c.JoinGroup(netip.MustParseAddr("ff02::1:2"), &net.Interface{Index: 77}); !errors.Is(err, syscall.ENOPROTOOPT) {
			t.Errorf("a group of the other family: %v", err)
		}
	})
}

// A reply to a link-local sender leaves by the interface on which its question arrived, whatever that was
// sent to.
func TestReplyToLinkLocalSender(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		for _, test := range []struct{ near, far, group string }{
			{"169.254.7.1", "169.254.7.2", "239.1.2.3"},
			{"169.254.8.1", "169.254.8.2", "255.255.255.255"},
			{"fe80::7:1", "fe80::7:2", "ff02::123"},
		} {
			near, err := w.AddHost(netip.MustParseAddr(test.near))
			if err != nil {
				t.Fatal(err)
			}
			far, err := w.AddHost(netip.MustParseAddr(test.far))
			if err != nil {
				t.Fatal(err)
			}
			server := w.conn(near.Listen(w.Context(), "udp", ":7"))
			group := netip.MustParseAddr(test.group)
			if group.IsMulticast() {
				if err := server.JoinGroup(group, nil); err != nil {
					t.Fatal(err)
				}
			}
			client := w.conn(far.Listen(w.Context(), "udp", ":0", datagram.WithBroadcast()))
			unicast := netip.MustParseAddr(test.near)
			if unicast.Is6() {
				unicast = unicast.WithZone(far.Interface().Name)
			}
			for _, to := range []netip.Addr{group, unicast} {
				w.sendTo(client, netip.AddrPortFrom(to, server.LocalAddr().Port()), "question")
				question := w.next(server)
				reply := question.Reply([]byte("answer"))
				if reply.Meta.IfIndex != near.Interface().Index {
					t.Errorf("from %v to %v: the answer leaves by %d", question.Addr, to, reply.Meta.IfIndex)
				}
				if _, err := server.TrySend(reply); err != nil {
					t.Fatal(err)
				}
				w.expect(client, "answer")
			}
		}
	})
}

// The interfaces are those of the simulated host, also before there is a socket.
func TestMulticastInterface(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		for _, c := range []*datagram.Conn{w.at(here), w.conn(datagram.New(w.Option()))} {
			for _, want := range []*net.Interface{nil, {Index: 1, Name: "lo"}, {Index: 2, Name: "eth0"}, nil} {
				if err := c.SetMulticastInterface(want); err != nil {
					t.Fatal(err)
				}
				got, err := c.MulticastInterface()
				if err != nil || (got == nil) != (want == nil) || got != nil && (got.Index != want.Index || got.Name != want.Name) {
					t.Errorf("%v: %+v, %v; want %+v", c, got, err, want)
				}
			}
		}
	})
}
