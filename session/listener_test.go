package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/softnet"
	"example.com/datagram/internal/testing/testenv"
	"example.com/datagram/session"
)

func TestAcceptInOrder(t *testing.T) {
	s := serve(t, session.Config{})
	var peers []netip.AddrPort
	for i := range 20 {
		peer := conntest.SocketTo(t, s.conn)
		write(t, peer, "first")
		write(t, peer, "second")
		peers = append(peers, conntest.AddrOf(peer))
		s.received(t, uint64(2*(i+1)))
	}
	for i, peer := range peers {
		c := accept(t, s.Listener)
		if c.Peer() != peer {
			t.Fatalf("session %d is that of %v, want %v", i, c.Peer(), peer)
		}
		conntest.ExpectRead(t, c, "first")
		conntest.ExpectRead(t, c, "second")
	}
	if stats := s.Stats(); stats.Sessions != 20 || stats.Opened != 20 || stats.Delivered != 40 {
		t.Errorf("%+v", stats)
	}
}

func TestAcceptWaits(t *testing.T) {
	s := serve(t, session.Config{})
	accepted := make(chan error, 1)
	go func() { accepted <- conntest.Err(s.Accept()) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := waiting(t, "AcceptContext", func() error { return conntest.Err(s.AcceptContext(ctx)) })
	cancel()
	expect(t, "AcceptContext", cancelled, context.Canceled)
	conntest.ExpectBare(t, "AcceptContext", conntest.Err(s.AcceptContext(ctx)), context.Canceled)
	write(t, conntest.SocketTo(t, s.conn), "first")
	expect(t, "Accept", accepted, nil)

	closed := waiting(t, "Accept", func() error { return conntest.Err(s.Accept()) })
	conntest.ExpectError(t, "Close", s.Close(), nil)
	expect(t, "Accept", closed, net.ErrClosed)
	conntest.CheckOpError(t, s.Close(), conntest.OpError{Op: "close", Network: "udp", Addr: s.conn.LocalAddr(), Is: net.ErrClosed})
}

func TestAddr(t *testing.T) {
	s := serve(t, session.Config{})
	if addr := s.Addr().(*net.UDPAddr).AddrPort(); addr != s.conn.LocalAddr() {
		t.Errorf("Addr is %v, want %v", addr, s.conn.LocalAddr())
	}
	if n := len(s.Addr().(*net.UDPAddr).IP); n != net.IPv4len {
		t.Errorf("the address has %d bytes", n)
	}
}

// TestReceivingIsTakenOver checks that handles are a listener's from Listen until its last session has ended.
func TestReceivingIsTakenOver(t *testing.T) {
	s := serve(t, session.Config{})
	conntest.ExpectError(t, "Serve", s.conn.Serve(background, func(datagram.Datagram) {}), syscall.EALREADY)
	conntest.ExpectError(t, "ServeBatch", s.conn.ServeBatch(background, func([]datagram.Datagram) {}), syscall.EALREADY)
	await.Closed(t, "Recv", s.conn.Recv())
	conntest.ExpectError(t, "second Listen", conntest.Err(session.Listen(session.Config{}, s.conn)), syscall.EALREADY)

	_, first := s.peer(t, "first")
	_, second := s.peer(t, "second")
	conntest.ExpectError(t, "Close", s.Close(), nil)
	conntest.ExpectError(t, "Close", first.Close(), nil)
	conntest.ExpectError(t, "Serve", s.conn.Serve(background, func(datagram.Datagram) {}), syscall.EALREADY)
	conntest.ExpectError(t, "Close", second.Close(), nil)
	ch := s.conn.Recv() // at once
	write(t, conntest.SocketTo(t, s.conn), "for the program")
	if text := conntest.Text(t, ch); text != "for the program" {
		t.Errorf("received %q", text)
	}
}

func TestCloseEndsOnlyTheBacklog(t *testing.T) {
	s := serve(t, session.Config{})
	peer, accepted := s.peer(t, "accepted")
	waits := conntest.SocketTo(t, s.conn)
	write(t, waits, "waits")
	s.received(t, 2)
	conntest.ExpectError(t, "Close", s.Close(), nil)
	if stats := s.Stats(); stats.Sessions != 1 || stats.Closed != 1 || stats.Discarded != 1 {
		t.Errorf("after Close: %+v", stats)
	}
	conntest.ExpectError(t, "Accept", conntest.Err(s.Accept()), net.ErrClosed)
	write(t, waits, "refused")
	s.received(t, 3)
	if stats := s.Stats(); stats.RefusedClosed != 1 {
		t.Errorf("after a datagram of a new peer: %+v", stats)
	}
	conntest.ExpectRead(t, accepted, "accepted")
	write(t, peer, "more")
	conntest.ExpectRead(t, accepted, "more")
	write(t, accepted, "answer")
	conntest.ExpectRead(t, peer, "answer")
}

func TestShutdown(t *testing.T) {
	s := serve(t, session.Config{})
	_, c := s.peer(t, "first")
	result := waiting(t, "Shutdown", func() error { return s.Shutdown(background) })
	conntest.ExpectError(t, "Accept", conntest.Err(s.Accept()), net.ErrClosed)
	conntest.ExpectError(t, "Close", c.Close(), nil)
	expect(t, "Shutdown", result, nil)
	if s.conn.Active() {
		t.Error("receiving was not given back")
	}
	conntest.ExpectError(t, "second Shutdown", s.Shutdown(background), nil)
	conntest.ExpectError(t, "Bind", s.conn.Bind(background, "udp", "127.0.0.1:0"), syscall.EINVAL) // it is not closed
}

func TestShutdownWhoseContextEnds(t *testing.T) {
	s := serve(t, session.Config{})
	_, c := s.peer(t, "first")
	ctx, cancel := context.WithCancel(t.Context())
	result := waiting(t, "Shutdown", func() error { return s.Shutdown(ctx) })
	cancel()
	expect(t, "Shutdown", result, context.Canceled)
	conntest.ExpectBare(t, "Err", c.Err(), net.ErrClosed)
	if stats := s.Stats(); stats.Sessions != 0 || stats.Closed != 1 {
		t.Errorf("%+v", stats)
	}
	conntest.ExpectError(t, "Shutdown", s.Shutdown(background), nil)
	for range 20 { // there is nothing left to wait for
		conntest.ExpectError(t, "Shutdown", s.Shutdown(ctx), nil)
	}
}

func TestHandleCloses(t *testing.T) {
	s := serve(t, session.Config{})
	_, c := s.peer(t, "first")
	_, channel := s.peer(t, "first")
	ch := channel.Recv()
	write(t, conntest.SocketTo(t, s.conn), "waits")
	s.received(t, 3)
	result := waiting(t, "Read", func() error {
		for {
			if _, err := c.Read(nil); err != nil {
				return err
			}
		}
	})
	s.conn.Close()
	expect(t, "Read", result, net.ErrClosed)
	conntest.ExpectBare(t, "Err", c.Err(), net.ErrClosed)
	conntest.ExpectError(t, "Write", conntest.Err(c.Write(nil)), net.ErrClosed)
	conntest.ExpectError(t, "Accept", conntest.Err(s.Accept()), net.ErrClosed)
	if text := conntest.Text(t, ch); text != "first" {
		t.Errorf("the channel contains %q", text)
	}
	await.Closed(t, "Recv", ch)
	conntest.ExpectBare(t, "Err", channel.Err(), net.ErrClosed)
	if stats := s.Stats(); stats.Sessions != 0 || stats.Closed != 3 {
		t.Errorf("%+v", stats)
	}
}

// TestReceivingIsStopped stops a handle as a server does that is about to be replaced: what was received can
// be read, accepted and answered.
func TestReceivingIsStopped(t *testing.T) {
	for name, stop := range map[string]func(*datagram.Conn) error{
		"StopRecv":  (*datagram.Conn).StopRecv,
		"DrainRecv": func(conn *datagram.Conn) error { return conn.DrainRecv(await.Context(t)) },
	} {
		t.Run(name, func(t *testing.T) { testReceivingIsStopped(t, stop) })
	}
}

func testReceivingIsStopped(t *testing.T, stop func(*datagram.Conn) error) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "first")
	otherPeer, channel := s.peer(t, "first")
	ch := channel.Recv()
	latePeer := conntest.SocketTo(t, s.conn)
	write(t, latePeer, "late")
	s.received(t, 3)
	conntest.ExpectError(t, "stopping", stop(s.conn), nil)

	late := accept(t, s.Listener)
	conntest.ExpectRead(t, late, "late")
	write(t, late, "answer")
	conntest.ExpectRead(t, latePeer, "answer")
	conntest.ExpectError(t, "Accept", conntest.Err(s.Accept()), net.ErrClosed)
	conntest.ExpectRead(t, c, "first")
	conntest.ExpectError(t, "Read", conntest.Err(c.Read(nil)), net.ErrClosed)
	conntest.ExpectBare(t, "Err", c.Err(), net.ErrClosed)
	write(t, c, "answer")
	conntest.ExpectRead(t, peer, "answer")
	if text := conntest.Text(t, ch); text != "first" {
		t.Errorf("the channel contains %q", text)
	}
	await.Closed(t, "Recv", ch)
	write(t, channel, "answer")
	conntest.ExpectRead(t, otherPeer, "answer")
	await.Closed(t, "Recv that comes late", late.Recv())
	if stats := s.Stats(); stats.Sessions != 3 {
		t.Errorf("%+v", stats)
	}
}

// TestOneOfTwoHandles closes one of two handles: the sessions of the other go on.
func TestOneOfTwoHandles(t *testing.T) {
	a, b := conntest.Loopback(t), conntest.Loopback(t)
	l := listen(t, session.Config{}, a, b)
	toA, toB := conntest.SocketTo(t, a), conntest.SocketTo(t, b)
	write(t, toA, "to a")
	ofA := accept(t, l)
	write(t, toB, "to b")
	ofB := accept(t, l)
	a.Close()
	conntest.ExpectRead(t, ofB, "to b")
	write(t, toB, "more")
	conntest.ExpectRead(t, ofB, "more")
	await.Until(t, "the end of the closed handle's session", func() bool { return errors.Is(ofA.Err(), net.ErrClosed) })
	write(t, conntest.SocketTo(t, b), "new")
	accept(t, l)
}

// TestGroup serves many peers with the handles of a group: each has one session, that answers from the group's
// address, and closing the group ends them.
func TestGroup(t *testing.T) {
	g, err := datagram.ListenGroup(t.Context(), "udp4", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	l := listen(t, session.Config{}, g.Conns()...)
	conntest.ExpectError(t, "Serve", g.Serve(background, func(*datagram.Conn, datagram.Datagram) {}), syscall.EALREADY)
	var sessions []*session.Conn
	for i := range 50 {
		peer := conntest.SocketTo(t, g.Conns()[0])
		text := fmt.Sprint(i)
		write(t, peer, text)
		c := accept(t, l)
		conntest.ExpectRead(t, c, text)
		write(t, peer, "more")
		conntest.ExpectRead(t, c, "more")
		write(t, c, text)
		conntest.ExpectRead(t, peer, text)
		sessions = append(sessions, c)
	}
	g.Close()
	for _, c := range sessions {
		conntest.ExpectError(t, "Read", conntest.Err(c.Read(nil)), net.ErrClosed)
	}
	conntest.ExpectError(t, "Accept", conntest.Err(l.Accept()), net.ErrClosed)
	if s := l.Stats(); s.Opened != 50 || s.Closed != 50 {
		t.Errorf("%+v", s)
	}
}

// TestDrainUnderLoad drains the handle while peers send: every datagram that the handle took is in a session, or
// counted as refused, and the others are left to whoever receives next.
func TestDrainUnderLoad(t *testing.T) {
	s := serve(t, session.Config{Queue: 1 << 20})
	lost := softnet.Watch()
	var senders sync.WaitGroup
	var sent atomic.Uint64
	for range 4 {
		peer := conntest.SocketTo(t, s.conn)
		senders.Go(func() {
			for range 300 {
				if _, err := peer.Write([]byte("question")); err == nil {
					sent.Add(1)
				}
			}
		})
	}
	s.received(t, 10)
	conntest.ExpectError(t, "DrainRecv", s.conn.DrainRecv(await.Context(t)), nil)
	conntest.ExpectError(t, "Accept", acceptAll(s.Listener), net.ErrClosed)
	senders.Wait()
	if n, handle := taken(s.Stats()), s.conn.Stats(); n != handle.Delivered {
		t.Errorf("%d of %d datagrams came to sessions", n, handle.Delivered)
	}
	ch, n := s.conn.Recv(), taken(s.Stats())
	await.Until(t, "what the system still held", func() bool { // a busy one may drop some only now
		for len(ch) > 0 {
			<-ch
			n++
		}
		return n+s.conn.Stats().KernelDrops >= sent.Load() || lost()
	})
}

// acceptAll accepts sessions until that fails.
func acceptAll(l *session.Listener) error {
	for {
		if _, err := l.Accept(); err != nil {
			return err
		}
	}
}

// TestSamePeerOnTwoPorts checks that a peer's datagrams to two ports are two sessions.
func TestSamePeerOnTwoPorts(t *testing.T) {
	a, b := conntest.Loopback(t), conntest.Loopback(t)
	l := listen(t, session.Config{}, a, b)
	peer := conntest.Socket(t)
	for _, to := range []*datagram.Conn{a, b} {
		text := to.LocalAddr().String()
		if _, err := peer.WriteToUDPAddrPort([]byte(text), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		c := accept(t, l)
		conntest.ExpectRead(t, c, text)
		write(t, c, text)
		buf := make([]byte, 100)
		n, from, err := peer.ReadFromUDPAddrPort(buf)
		if err != nil || from != to.LocalAddr() || string(buf[:n]) != text {
			t.Errorf("the answer of %v is %q from %v, %v", to.LocalAddr(), buf[:n], from, err)
		}
	}
}

// TestAddressThatWasAsked checks that what a peer sends to two addresses of the host is two sessions, whose
// answers come from these addresses.
func TestAddressThatWasAsked(t *testing.T) {
	conn := conntest.Listen(t, "udp4", "0.0.0.0:0")
	if _, err := net.ListenPacket("udp4", "127.0.0.9:0"); err != nil {
		testenv.Skip(t, "one loopback address only: "+err.Error())
	}
	l := listen(t, session.Config{}, conn)
	peer := conntest.Socket(t)
	for _, ip := range []string{"127.0.0.1", "127.0.0.9"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(ip), conn.LocalAddr().Port())
		if _, err := peer.WriteToUDPAddrPort([]byte(ip), to); err != nil {
			t.Fatal(err)
		}
		c := accept(t, l)
		conntest.ExpectRead(t, c, ip)
		if local := c.LocalAddr().(*net.UDPAddr).AddrPort(); local != to {
			t.Errorf("LocalAddr is %v, want %v", local, to)
		}
		write(t, c, ip)
		buf := make([]byte, 100)
		if n, from, err := peer.ReadFromUDPAddrPort(buf); err != nil || from != to {
			t.Errorf("the answer of %v is %q from %v, %v", to, buf[:n], from, err)
		}
	}
}

func TestConnectedHandle(t *testing.T) {
	peer := conntest.Loopback(t)
	conn := conntest.Dial(t, peer)
	l := listen(t, session.Config{}, conn)
	conntest.Send(t, peer, datagram.To(conn.LocalAddr(), []byte("question")))
	c := accept(t, l)
	conntest.ExpectRead(t, c, "question")
	write(t, c, "answer")
	conntest.Expect(t, peer, "answer")
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		config session.Config
		count  func(session.Stats) uint64
	}{
		{"backlog", session.Config{Backlog: 3}, func(s session.Stats) uint64 { return s.RefusedBacklog }},
		{"sessions", session.Config{MaxSessions: 3}, func(s session.Stats) uint64 { return s.RefusedMax }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.config)
			for i := range uint64(5) {
				write(t, conntest.SocketTo(t, s.conn), fmt.Sprint(i))
				s.received(t, i+1)
			}
			if stats := s.Stats(); stats.Sessions != 3 || stats.Opened != 3 || test.count(stats) != 2 {
				t.Errorf("%+v", stats)
			}
			for i := range 3 {
				c := accept(t, s.Listener)
				conntest.ExpectRead(t, c, fmt.Sprint(i))
				c.Close()
			}
			_, c := s.peer(t, "room again")
			conntest.ExpectRead(t, c, "room again")
		})
	}
}
