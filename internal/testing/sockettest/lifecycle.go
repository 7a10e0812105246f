package sockettest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"example.com/datagram/internal/socket"
)

// receiving starts a Receive and returns a channel for its outcome.
func (e *endpoint) receiving() <-chan error {
	result := make(chan error, 1)
	go func() { result <- e.Receive(&e.batch) }()
	return result
}

func testInterrupt(s *suite) {
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	for range 20 {
		result := b.receiving()
		b.Interrupt()
		if err := <-result; !errors.Is(err, socket.ErrInterrupted) {
			s.Fatalf("interrupted: %v", err)
		}
		if len(b.batch.Messages) != 0 {
			s.Errorf("%d messages with an error", len(b.batch.Messages))
		}
		b.Resume()
		a.send(to(b.addr(), []byte("still there"))...)
		b.expect([]byte("still there"))
	}
}

// Datagrams that arrive during an interruption are not lost.
func testInterruptedBefore(s *suite) {
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	b.Interrupt()
	a.send(to(b.addr(), []byte("early"))...)
	for range 2 {
		if err := b.Receive(&b.batch); !errors.Is(err, socket.ErrInterrupted) {
			s.Fatalf("interrupted: %v", err)
		}
	}
	b.Resume()
	b.expect([]byte("early"))
}

// A waiting receive holds no memory of the batch.
func testIdleMemory(s *suite) {
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	a.send(to(b.addr(), []byte("something"))...)
	b.expect([]byte("something"))
	result := b.receiving()
	b.Interrupt()
	if err := <-result; err == nil {
		s.Error("something was received")
	}
	b.Resume()
	// It may not have waited this time.
	result = b.receiving()
	a.send(to(b.addr(), []byte("something"))...)
	if err := <-result; err != nil {
		s.Fatal(err)
	}
	b.take()
	b.expect([]byte("something"))
	b.batch.Free()
	b.batch.Free()
	a.send(to(b.addr(), []byte("again"))...)
	b.expect([]byte("again"))
}

func testCloseWakes(s *suite) {
	for range 20 {
		e := s.listen("udp4", "127.0.0.1:0")
		result := e.receiving()
		if err := e.Close(); err != nil {
			s.Fatal(err)
		}
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			s.Fatalf("closed: %v", err)
		}
	}
}

// The port is free when Close returns, whatever else is running.
func testCloseFrees(s *suite) {
	first, local := s.quiet()
	if err := first.Close(); err != nil {
		s.Fatal(err)
	}
	for range 20 {
		e := s.listen("udp4", local.String())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					if _, err := e.Send(to(local, []byte("to myself")), true); err != nil {
						if !errors.Is(err, net.ErrClosed) {
							s.Error(err)
						}
						return
					}
				}
			})
		}
		wg.Go(func() {
			var b socket.Batch
			defer b.Free()
			for {
				if err := e.Receive(&b); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						s.Error(err)
					}
					return
				}
			}
		})
		if err := e.Close(); err != nil {
			s.Error(err)
		}
		s.listen("udp4", local.String()).Close()
		wg.Wait()
	}
}

func testAfterClose(s *suite) {
	e := s.listen("udp4", "127.0.0.1:0")
	addr := e.addr()
	if err := e.Close(); err != nil {
		s.Fatal(err)
	}
	group := socket.Membership{Group: netip.MustParseAddr("239.1.2.3")}
	calls := map[string]func() error{
		"Receive":     func() error { return e.Receive(&e.batch) },
		"Send":        func() error { _, err := e.Send(to(addr, []byte("x")), false); return err },
		"Send, wait":  func() error { _, err := e.Send(to(addr, []byte("x")), true); return err },
		"Bind":        func() error { return e.Bind(addr) },
		"Connect":     func() error { return e.Connect(addr) },
		"Disconnect":  func() error { return e.Connect(netip.AddrPort{}) },
		"SetOption":   func() error { return e.SetOption(socket.TTL, 1) },
		"Option":      func() error { _, err := e.Option(socket.TTL); return err },
		"ReadBuffer":  func() error { _, err := e.Option(socket.ReadBuffer); return err },
		"Membership":  func() error { return e.Membership(group) },
		"SyscallConn": func() error { _, err := e.SyscallConn(); return err },
		"File":        func() error { _, err := e.File(); return err },
		"Close":       e.Close,
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, net.ErrClosed) {
			s.Errorf("%s: %v, want %v", name, err, net.ErrClosed)
		}
	}
	if _, ok := e.Drops(); ok {
		s.Error("a closed socket counts drops")
	}
	e.Interrupt()
	e.Resume()
	e.Info()
	e.Counters()
}

func testInfo(s *suite) {
	for _, test := range []struct {
		network, address string
		family           socket.Family
		local            string
	}{
		{"udp4", "127.0.0.1:0", socket.IPv4, "127.0.0.1"},
		{"udp4", ":0", socket.IPv4, "0.0.0.0"},
		{"udp6", ":0", socket.IPv6, "::"},
		{"udp6", "[::1]:0", socket.IPv6, "::1"},
		{"udp", "[::1]:0", socket.IPv6, "::1"},
		{"udp", "127.0.0.1:0", socket.IPv4, "127.0.0.1"},
	} {
		info := s.listen(test.network, test.address).Info()
		if info.Family != test.family || !info.UDP || info.Network != test.network ||
			info.Local.Addr().String() != test.local || info.Local.Port() == 0 || info.Remote.IsValid() {
			s.Errorf("%s %s: %+v", test.network, test.address, info)
		}
	}
}

func testControl(s *suite) {
	config := s.Config
	called := 0
	config.Control = func(network, address string, c syscall.RawConn) error {
		called++
		return nil
	}
	s.open("udp4", "127.0.0.1:0", config)
	if called != 1 {
		s.Errorf("called %d times", called)
	}
	failure := errors.New("not today")
	config.Control = func(string, string, syscall.RawConn) error { return failure }
	if sock, err := s.Listen(s.T, "udp4", "127.0.0.1:0", config); !errors.Is(err, failure) {
		s.Errorf("%v, %v; want %v", sock, err, failure)
	}
}

// The file is a duplicate; closing it does not affect the socket.
func testFile(s *suite) {
	e := s.listen("udp4", "127.0.0.1:0")
	f, err := e.File()
	if err != nil {
		s.Fatal(err)
	}
	if err := f.Close(); err != nil {
		s.Error(err)
	}
	raw, err := e.SyscallConn()
	if err != nil {
		s.Fatal(err)
	}
	if err := raw.Control(func(uintptr) {}); err != nil {
		s.Error(err)
	}
	e.send(to(e.addr(), []byte("alive"))...)
	e.expect([]byte("alive"))
}

func testCounters(s *suite) {
	a, b := s.listen("udp4", "127.0.0.1:0"), s.listen("udp4", "127.0.0.1:0")
	for range 3 {
		a.send(to(b.addr(), []byte("x"))...)
		b.expect([]byte("x"))
	}
	if sent, received := a.Counters().SendCalls.Load(), b.Counters().ReceiveCalls.Load(); sent != 3 || received != 3 {
		s.Errorf("%d send calls and %d receive calls, want 3 and 3", sent, received)
	}
}
