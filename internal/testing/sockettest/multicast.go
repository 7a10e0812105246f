package sockettest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"example.com/datagram/internal/socket"
)

func (s *suite) loopbackInterface() *net.Interface {
	s.Helper()
	if s.Loopback != nil {
		return s.Loopback
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		s.Fatal(err)
	}
	for _, ifi := range interfaces {
		if ifi.Flags&net.FlagLoopback != 0 {
			return &ifi
		}
	}
	s.Skip("no loopback interface")
	return nil
}

// multicastInterface returns an interface that supports the group. Linux has no route for IPv6 groups on the
// loopback interface. The suite's groups are interface-local (RFC 4291 section 2.7), so nothing leaves
// another interface either.
func (s *suite) multicastInterface(group netip.Addr) *net.Interface {
	s.Helper()
	if s.Multicast != nil {
		return s.Multicast
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		s.Fatal(err)
	}
	const usable = net.FlagUp | net.FlagMulticast
	for _, ifi := range interfaces {
		if group.Is6() && ifi.Flags&usable == usable && ifi.Flags&net.FlagLoopback == 0 && hasIPv6(ifi) {
			return &ifi
		}
	}
	return s.loopbackInterface()
}

func hasIPv6(ifi net.Interface) bool {
	addrs, _ := ifi.Addrs()
	return slices.ContainsFunc(addrs, func(addr net.Addr) bool {
		prefix, err := netip.ParsePrefix(addr.String())
		return err == nil && prefix.Addr().Is6()
	})
}

var groups = []struct{ network, group string }{
	{"udp4", "239.255.77.77"},
	{"udp6", "ff01::7777"},
	{"udp", "239.255.77.78"},
}

func testMulticast(s *suite) {
	for _, test := range groups {
		ifi := s.multicastInterface(netip.MustParseAddr(test.group))
		receiver := s.listen(test.network, ":0", on(socket.ReceiveLocal)...)
		sender := s.listen(test.network, ":0", socket.Setting{Option: socket.MulticastInterface, Value: ifi.Index})
		m := socket.Membership{Group: netip.MustParseAddr(test.group), Interface: ifi}
		group, self := receiver.port(test.group), receiver.port("127.0.0.1")
		if test.network == "udp6" {
			self = receiver.port("::1")
		}
		if err := receiver.Membership(m); err != nil {
			s.Fatalf("join %v: %v", m.Group, err)
		}
		if _, err := sender.try(to(group, []byte("everybody"))); errors.Is(err, unreachable) {
			s.Logf("no route for %v over %s", m.Group, ifi.Name)
			continue
		} else if err != nil {
			s.Fatal(err)
		}
		d := receiver.expect([]byte("everybody"))[0]
		if !d.Elsewhere || d.Control.Local.WithZone("") != m.Group {
			s.Errorf("%v: sent to %v, answerable: %v", m.Group, d.Control.Local, !d.Elsewhere)
		}
		m.Leave = true
		if err := receiver.Membership(m); err != nil {
			s.Fatalf("leave %v: %v", m.Group, err)
		}
		// A datagram for the group would arrive before the other.
		sender.send(to(group, []byte("nobody"))...)
		sender.send(to(self, []byte("somebody"))...)
		receiver.expect([]byte("somebody"))
	}
}

func testMulticastSource(s *suite) {
	lo := s.loopbackInterface()
	receiver := s.listen("udp4", ":0")
	m := socket.Membership{Group: netip.MustParseAddr("232.77.77.77"), Source: netip.MustParseAddr("127.0.0.1"), Interface: lo}
	if err := receiver.Membership(m); err != nil {
		s.Fatal(err)
	}
	group := receiver.port(m.Group.String())
	for _, source := range []string{"127.0.0.2:0", "127.0.0.1:0"} {
		sender := s.listen("udp4", source, socket.Setting{Option: socket.MulticastInterface, Value: lo.Index})
		sender.send(to(group, []byte(source))...)
	}
	receiver.expect([]byte("127.0.0.1:0"))
	m.Leave = true
	if err := receiver.Membership(m); err != nil {
		s.Fatal(err)
	}
}

func testMembershipErrors(s *suite) {
	lo := s.loopbackInterface()
	for _, test := range groups {
		e := s.listen(test.network, ":0")
		m := socket.Membership{Group: netip.MustParseAddr(test.group), Interface: lo}
		for _, step := range []struct {
			leave bool
			want  error
		}{{true, syscall.EADDRNOTAVAIL}, {false, nil}, {false, syscall.EADDRINUSE}, {true, nil}, {true, syscall.EADDRNOTAVAIL}} {
			m.Leave = step.leave
			if err := e.Membership(m); !errors.Is(err, step.want) {
				s.Errorf("%v, leave %v: %v, want %v", m.Group, step.leave, err, step.want)
			}
		}
	}
}

// testDrops overflows the receive buffer. All datagrams that did not arrive must be counted.
func testDrops(s *suite) {
	config := s.Config
	config.Segment = false // a coalesced packet counts as one drop
	a := s.open("udp4", "127.0.0.1:0", config)
	b := s.listen("udp4", "127.0.0.1:0", socket.Setting{Option: socket.ReadBuffer, Value: 4096})
	if drops, ok := b.Drops(); drops != 0 || !ok {
		s.Fatalf("%d drops, %v, at first", drops, ok)
	}
	const count = 500
	for i := range count {
		a.send(to(b.addr(), pattern(100, i))...)
	}
	next, received := 0, 0
	for ; ; received++ {
		// A busy system may deliver or drop some later, so that the count is no figure before all are accounted for.
		if drops, _ := b.Drops(); received+int(drops) >= count {
			break
		}
		d := b.receive(1)[0]
		for next < count && string(d.Payload) != string(pattern(100, next)) {
			next++
		}
		if next++; next > count {
			s.Fatalf("datagram %d is another", received)
		}
	}
	if drops, _ := b.Drops(); drops == 0 || received+int(drops) != count {
		s.Errorf("%d of %d received, %d dropped", received, count, drops)
	}
}
