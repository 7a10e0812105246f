package sockettest

import (
	"net/netip"
	"time"

	"example.com/datagram/internal/socket"
)

// A route is a path of datagrams in a metadata test.
type route struct{ network, address, from, to string }

// routes cover both families, and IPv4 to a socket that serves both families.
var routes = []route{
	{"udp4", "127.0.0.1:0", "udp4", "127.0.0.1"},
	{"udp4", "0.0.0.0:0", "udp4", "127.0.0.2"},
	{"udp6", "[::]:0", "udp6", "::1"},
	{"udp", ":0", "udp6", "::1"},
	{"udp", ":0", "udp4", "127.0.0.1"},
	{"udp", ":0", "udp", "127.0.0.1"},
}

// probe sends a datagram with control over each route to a socket with the settings, and passes what arrived
// to check. It does so once more with a connected socket.
func (s *suite) probe(c socket.Control, check func(r route, c socket.Control), settings ...socket.Setting) {
	s.Helper()
	for _, r := range routes {
		receiver := s.listen(r.network, r.address, settings...)
		sender := s.listen(r.from, ":0")
		d := to(receiver.port(r.to), []byte("probe"))[0]
		d.Control = &c
		sender.send(d)
		check(r, receiver.expect(d.Payload)[0].Control)

		if err := sender.Connect(d.Addr); err != nil {
			s.Fatal(err)
		}
		d.Addr = netip.AddrPort{}
		sender.send(d)
		check(r, receiver.expect(d.Payload)[0].Control)
	}
}

func on(options ...socket.Option) []socket.Setting {
	var settings []socket.Setting
	for _, o := range options {
		settings = append(settings, socket.Setting{Option: o, Value: 1})
	}
	return settings
}

func testReceiveLocal(s *suite) {
	s.probe(socket.Control{}, func(r route, c socket.Control) {
		if c.Local != netip.MustParseAddr(r.to) || c.IfIndex == 0 {
			s.Errorf("%+v: sent to %v by interface %d", r, c.Local, c.IfIndex)
		}
	}, on(socket.ReceiveLocal)...)
}

func testReceiveHopLimit(s *suite) {
	s.probe(socket.Control{HopLimit: 77}, func(r route, c socket.Control) {
		if c.HopLimit != 77 {
			s.Errorf("%+v: hop limit %d, want 77", r, c.HopLimit)
		}
	}, on(socket.ReceiveHopLimit)...)
}

func testReceiveTrafficClass(s *suite) {
	const ecnCapable = 0x28<<2 | 2
	s.probe(socket.Control{TrafficClass: ecnCapable}, func(r route, c socket.Control) {
		if c.TrafficClass != ecnCapable {
			s.Errorf("%+v: traffic class %#x, want %#x", r, c.TrafficClass, ecnCapable)
		}
	}, on(socket.ReceiveTrafficClass)...)
}

func testReceiveTime(s *suite) {
	start := time.Now()
	s.probe(socket.Control{}, func(r route, c socket.Control) {
		// The two clocks may differ in resolution.
		if c.Time.Before(start.Add(-time.Second)) || c.Time.After(time.Now().Add(time.Second)) {
			s.Errorf("%+v: received at %v, want between %v and now", r, c.Time, start)
		}
	}, on(socket.ReceiveTime)...)
}

func testAllMetadata(s *suite) {
	all := on(socket.ReceiveLocal, socket.ReceiveHopLimit, socket.ReceiveTrafficClass, socket.ReceiveTime)
	s.probe(socket.Control{HopLimit: 9, TrafficClass: 1}, func(r route, c socket.Control) {
		if c.Local != netip.MustParseAddr(r.to) || c.HopLimit != 9 || c.TrafficClass != 1 || c.Time.IsZero() {
			s.Errorf("%+v: %+v", r, c)
		}
	}, all...)
}

// testSendLocal sends from the address that a datagram was sent to.
func testSendLocal(s *suite) {
	for _, network := range []string{"udp4", "udp"} {
		server := s.listen(network, ":0", on(socket.ReceiveLocal)...)
		client := s.listen("udp4", "127.0.0.1:0")
		asked := server.port("127.0.0.2")
		for _, payload := range [][]byte{[]byte("question"), {}} {
			client.send(to(asked, payload)...)
			d := server.expect(payload)[0]
			if d.Elsewhere {
				s.Errorf("%v is an address to answer from", asked)
			}
			reply := to(d.Addr, payload)[0]
			reply.Control = &socket.Control{Local: d.Control.Local}
			server.send(reply)
			if got := client.expect(payload)[0].Addr; got != asked {
				s.Errorf("%s: answer from %v, want %v", network, got, asked)
			}
		}
	}
}

func testSendInterface(s *suite) {
	for _, l := range loopback {
		a, b := s.listen(l.network, ":0"), s.listen(l.network, l.address, on(socket.ReceiveLocal)...)
		d := to(b.addr(), []byte("this way"))[0]
		d.Control = &socket.Control{IfIndex: s.loopbackInterface().Index}
		a.send(d)
		if got := b.expect(d.Payload)[0].Control.IfIndex; got != d.Control.IfIndex {
			s.Errorf("by interface %d, want %d", got, d.Control.IfIndex)
		}
		d.Control = &socket.Control{IfIndex: 1 << 30}
		if n, err := a.Send([]socket.Outgoing{d}, true); err == nil {
			s.Errorf("by an interface that is not there: %d, nil", n)
		}
	}
}
