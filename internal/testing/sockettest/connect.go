package sockettest

import (
	"errors"
	"net/netip"
	"time"
)

func testConnect(s *suite) {
	for _, l := range loopback {
		a, b, other := s.listen(l.network, l.address), s.listen(l.network, l.address), s.listen(l.network, l.address)
		local := a.addr()
		for range 2 {
			if err := a.Connect(b.addr()); err != nil {
				s.Fatal(err)
			}
			if info := a.Info(); info.Remote != b.addr() || info.Local != local {
				s.Errorf("connected: %+v; want from %v to %v", info, local, b.addr())
			}
			a.send(to(netip.AddrPort{}, []byte("unnamed"), []byte("twice"))...)
			a.send(to(b.addr(), []byte("named"))...)
			got := b.expect([]byte("unnamed"), []byte("twice"), []byte("named"))
			if got[0].Addr != local {
				s.Errorf("from %v, want %v", got[0].Addr, local)
			}
			b.send(to(local, []byte("answer"))...)
			if got := a.expect([]byte("answer")); got[0].Addr != b.addr() {
				s.Errorf("answer from %v, want %v", got[0].Addr, b.addr())
			}

			if err := a.Connect(netip.AddrPort{}); err != nil {
				s.Fatal(err)
			}
			if info := a.Info(); info.Remote.IsValid() || info.Local != local {
				s.Errorf("disconnected: %+v; want local address %v", info, local)
			}
			other.send(to(local, []byte("stranger"))...)
			a.expect([]byte("stranger"))
			a.send(to(other.addr(), []byte("elsewhere"))...)
			other.expect([]byte("elsewhere"))
			if n, err := a.Send(to(netip.AddrPort{}, []byte("nowhere")), true); err == nil {
				s.Errorf("sending without destination after disconnecting: %d, nil", n)
			}
		}
	}
}

// testConnectDualStack connects a wildcard socket of both families to each of them.
func testConnectDualStack(s *suite) {
	a := s.listen("udp", ":0")
	local := a.addr()
	for _, l := range loopback {
		b := s.listen(l.network, l.address)
		if err := a.Connect(b.addr()); err != nil {
			s.Fatal(err)
		}
		if info := a.Info(); info.Remote != b.addr() || info.Local.Port() != local.Port() {
			s.Errorf("connected: %+v; want port %d, to %v", info, local.Port(), b.addr())
		}
		a.send(to(netip.AddrPort{}, []byte("hello"))...)
		got := b.expect([]byte("hello"))
		b.send(to(got[0].Addr, []byte("answer"))...)
		a.expect([]byte("answer"))
		if err := a.Connect(netip.AddrPort{}); err != nil {
			s.Fatal(err)
		}
		if got := a.addr(); got != local {
			s.Errorf("disconnected: %v, want %v", got, local)
		}
	}
}

func testConnectedFilter(s *suite) {
	a, b, stranger := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	if err := a.Connect(b.addr()); err != nil {
		s.Fatal(err)
	}
	stranger.send(to(a.addr(), []byte("not for you"))...)
	b.send(to(a.addr(), []byte("for you"))...)
	a.expect([]byte("for you"))
}

// testConnectedElsewhere sends from a connected socket to other destinations.
func testConnectedElsewhere(s *suite) {
	a, b, c := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	if err := a.Connect(b.addr()); err != nil {
		s.Fatal(err)
	}
	a.send(to(c.addr(), []byte("elsewhere"))...)
	c.expect([]byte("elsewhere"))
	a.send(to(netip.AddrPort{}, []byte("peer"))...)
	b.expect([]byte("peer"))
}

// testRefused gets an ICMP error from a connected socket once, and continues.
func testRefused(s *suite) {
	a := s.listen("udp4", "127.0.0.1:0")
	b, addr := s.quiet()
	if err := b.Close(); err != nil {
		s.Fatal(err)
	}
	if err := a.Connect(addr); err != nil {
		s.Fatal(err)
	}
	for range 3 {
		a.send(to(netip.AddrPort{}, []byte("anyone"))...)
		stop := a.watch()
		if err := a.Receive(&a.batch); !errors.Is(err, refused) {
			s.Fatalf("receive: %v, want %v", err, refused)
		}
		stop()
	}
	if len(a.batch.Messages) != 0 {
		s.Errorf("%d messages with an error", len(a.batch.Messages))
	}
	// A send may encounter it instead. It is not about that datagram, which is sent, and is kept for the owner.
	met := a.Counters().NetworkErrors.Load()
	for end := time.Now().Add(patience); a.Counters().NetworkErrors.Load() == met; {
		a.send(to(netip.AddrPort{}, []byte("anyone"))...)
		if time.Now().After(end) {
			s.Fatal("no send has met an error")
		}
	}
	if list := a.PendingErrors(); len(list) == 0 || !errors.Is(list[0], refused) {
		s.Errorf("met %v, want %v", list, refused)
	}
	if list := a.PendingErrors(); len(list) > 0 {
		s.Errorf("told again of %v", list)
	}
	b = s.listen("udp4", addr.String())
	a.send(to(netip.AddrPort{}, []byte("there"))...)
	for string(b.receive(1)[0].Payload) == "anyone" { // which a busy system delivers late
	}
	b.send(to(a.addr(), []byte("here"))...)
	a.expectAfterError([]byte("here"))
}

// expectAfterError receives a datagram where an error may be pending.
func (e *endpoint) expectAfterError(payload []byte) {
	e.t.Helper()
	stop := e.watch()
	err := e.Receive(&e.batch)
	stop()
	if err == nil {
		e.take()
	}
	e.expect(payload)
}
