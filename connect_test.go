package datagram_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

func TestDialAndConnectSetThePeer(t *testing.T) {
	peer, stranger := conntest.Loopback(t), conntest.Loopback(t)
	connected := conntest.New(t)
	if err := connected.Connect(peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*datagram.Conn{"Dial": conntest.Dial(t, peer), "Connect": connected} {
		if c.RemoteAddr() != peer.LocalAddr() {
			t.Errorf("%s: the peer is %v, want %v", name, c.RemoteAddr(), peer.LocalAddr())
		}
		conntest.TrySend(t, stranger, datagram.To(c.LocalAddr(), []byte("stranger")))
		conntest.TrySend(t, peer, datagram.To(c.LocalAddr(), []byte("peer")))
		d := conntest.Expect(t, c, "peer")
		if d.Addr != peer.LocalAddr() {
			t.Errorf("%s: received from %v", name, d.Addr)
		}
		conntest.TrySend(t, c, datagram.Datagram{Payload: []byte("answer")})
		conntest.Expect(t, peer, "answer")
	}
}

// An empty host is the local one, as for net.Dial.
func TestDialWithoutHost(t *testing.T) {
	testenv.NeedIPv6(t)
	peer4, peer6 := conntest.Loopback(t), conntest.Listen(t, "udp6", "[::1]:0")
	for _, test := range []struct {
		network string
		peer    *datagram.Conn
	}{{"udp", peer4}, {"udp4", peer4}, {"udp6", peer6}} {
		port := netip.AddrPortFrom(netip.IPv4Unspecified(), test.peer.LocalAddr().Port()).String()[len("0.0.0.0"):]
		c, err := datagram.Dial(t.Context(), test.network, port)
		if err != nil {
			t.Fatal(err)
		}
		conntest.CloseAtEnd(t, c)
		if c.RemoteAddr() != test.peer.LocalAddr() {
			t.Errorf("Dial %s %q has the peer %v, want %v", test.network, port, c.RemoteAddr(), test.peer.LocalAddr())
		}
	}
}

func TestConnectTwice(t *testing.T) {
	peer := conntest.Loopback(t)
	c := conntest.Dial(t, peer)
	before := conntest.StateOf(c)
	for _, again := range []netip.AddrPort{peer.LocalAddr(), netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("[::1]:9")} {
		conntest.CheckOpError(t, c.Connect(again), conntest.OpError{
			Op: "connect", Network: "udp4", Source: before.Local, Addr: again, Is: syscall.EISCONN,
		})
		conntest.CheckUnchanged(t, c, before)
	}
}

func TestConnectRefused(t *testing.T) {
	testenv.NeedIPv6(t)
	t.Run("without an address", func(t *testing.T) {
		for _, c := range []*datagram.Conn{conntest.New(t), conntest.Loopback(t)} {
			before := conntest.StateOf(c)
			conntest.CheckErrno(t, c.Connect(netip.AddrPort{}), syscall.EINVAL)
			conntest.CheckErrno(t, c.Connect(netip.AddrPortFrom(netip.Addr{}, 53)), syscall.EINVAL)
			conntest.CheckErrno(t, c.Connect(netip.MustParseAddrPort("127.0.0.1:0")), syscall.EINVAL)
			conntest.CheckUnchanged(t, c, before)
		}
		_, err := datagram.Dial(t.Context(), "udp4", "127.0.0.1:0")
		conntest.CheckErrno(t, err, syscall.EINVAL)
	})
	t.Run("for the other family", func(t *testing.T) {
		for _, test := range []struct {
			local, peer string
			want        error
		}{
			{"127.0.0.1:0", "[::1]:9", syscall.EAFNOSUPPORT},
			{"[::1]:0", "127.0.0.1:9", nil}, // the error is the system's: EAFNOSUPPORT or ENETUNREACH
		} {
			c := conntest.Listen(t, "udp", test.local)
			before := conntest.StateOf(c)
			err := c.Connect(netip.MustParseAddrPort(test.peer))
			conntest.CheckOpError(t, err, conntest.OpError{
				Op: "connect", Network: "udp", Source: before.Local, Addr: netip.MustParseAddrPort(test.peer), Is: test.want,
			})
			conntest.CheckUnchanged(t, c, before)
		}
	})
}

func TestDisconnectUnconnected(t *testing.T) {
	lazy := conntest.New(t)
	conntest.CheckOpError(t, lazy.Disconnect(), conntest.OpError{Op: "disconnect", Network: "udp", Is: syscall.ENOTCONN})
	if lazy.LocalAddr().IsValid() {
		t.Errorf("Disconnect bound %v", lazy.LocalAddr())
	}
	c := conntest.Loopback(t)
	before := conntest.StateOf(c)
	conntest.CheckOpError(t, c.Disconnect(), conntest.OpError{Op: "disconnect", Network: "udp4", Source: before.Local, Is: syscall.ENOTCONN})
	conntest.CheckUnchanged(t, c, before)

	if err := c.Connect(netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
		t.Fatal(err)
	}
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	conntest.CheckErrno(t, c.Disconnect(), syscall.ENOTCONN)
	conntest.CheckUnchanged(t, c, before)
}

// Linux forgets a port that it chose by itself, and makes the socket deaf.
func TestDisconnectKeepsAddressAndPort(t *testing.T) {
	testenv.NeedIPv6(t)
	free := conntest.QuietPort(t)
	explicit := free.LocalAddr().String()
	free.Close()

	for _, test := range []struct{ network, address string }{
		{"udp4", "127.0.0.1:0"}, {"udp4", explicit}, {"udp4", ":0"}, {"udp", ":0"}, {"udp6", "[::1]:0"}, {"udp6", ":0"},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			c := conntest.Listen(t, test.network, test.address)
			local, to := c.LocalAddr(), conntest.Reachable(c)
			peer, other := conntest.New(t), conntest.New(t)
			// Their first use binds them, so that the peer's address is known.
			conntest.TrySend(t, peer, datagram.To(to, []byte("peer")))
			d := conntest.Expect(t, c, "peer")

			for range 2 {
				if err := c.Connect(d.Addr); err != nil {
					t.Fatal(err)
				}
				if err := c.Disconnect(); err != nil {
					t.Fatal(err)
				}
				if c.LocalAddr() != local || c.RemoteAddr().IsValid() {
					t.Fatalf("Disconnect left local %v, want %v, and remote %v", c.LocalAddr(), local, c.RemoteAddr())
				}
				conntest.TrySend(t, other, datagram.To(to, []byte("heard")))
				conntest.Expect(t, c, "heard")
			}
		})
	}
	t.Run("dialed", func(t *testing.T) {
		peer := conntest.Loopback(t)
		c := conntest.Dial(t, peer)
		to := c.LocalAddr()
		if err := c.Disconnect(); err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().Port() != to.Port() {
			t.Fatalf("Disconnect left %v, want the port of %v", c.LocalAddr(), to)
		}
		conntest.TrySend(t, conntest.Loopback(t), datagram.To(to, []byte("heard")))
		conntest.Expect(t, c, "heard")
	})
}

// Whether a destination is due is known at once: no queue, no completion.
func TestDestinationIsCheckedAtOnce(t *testing.T) {
	peer := conntest.Loopback(t)
	none := netip.AddrPort{}
	never := conntest.NeverDone(t) // checked after the handles have ended
	for _, test := range []struct {
		name string
		conn *datagram.Conn
		to   netip.AddrPort
		want error
	}{
		{"connected, own peer", conntest.Dial(t, peer), peer.LocalAddr(), syscall.EISCONN},
		{"connected, stranger", conntest.Dial(t, peer), netip.MustParseAddrPort("127.0.0.1:9"), syscall.EISCONN},
		{"unconnected", conntest.Loopback(t), none, syscall.EDESTADDRREQ},
		{"unconnected, port alone", conntest.Loopback(t), netip.AddrPortFrom(netip.Addr{}, 9), syscall.EDESTADDRREQ},
		{"without a socket", conntest.New(t), none, syscall.EDESTADDRREQ},
		{"port 0", conntest.Loopback(t), netip.MustParseAddrPort("127.0.0.1:0"), syscall.EINVAL},
		{"port 0 of IPv6", conntest.Loopback(t), netip.MustParseAddrPort("[::1]:0"), syscall.EINVAL},
		{"port 0 without a socket", conntest.New(t), netip.MustParseAddrPort("127.0.0.1:0"), syscall.EINVAL},
	} {
		uses := append([]firstUse{{"SendFunc with done", func(t *testing.T, c *datagram.Conn, to netip.AddrPort) error {
			return c.SendFunc(t.Context(), datagram.To(to, nil), never)
		}}}, sendUses...)
		for _, use := range uses {
			t.Run(test.name+" "+use.name, func(t *testing.T) {
				before := conntest.StateOf(test.conn)
				err := use.use(t, test.conn, test.to)
				network := "udp4"
				if !before.Local.IsValid() {
					network = "udp"
				}
				want := conntest.OpError{Op: "write", Network: network, Source: before.Local, Is: test.want}
				if test.to.Addr().IsValid() {
					want.Addr = test.to
				}
				conntest.CheckOpError(t, err, want)
				conntest.CheckUnchanged(t, test.conn, before)
			})
		}
	}
}

func TestReplyNamesThePeerUnlessConnected(t *testing.T) {
	server := conntest.Loopback(t)
	client := conntest.Dial(t, server)
	conntest.TrySend(t, client, datagram.Datagram{Payload: []byte("ask")})
	asked := conntest.Expect(t, server, "ask")
	if reply := asked.Reply(nil); reply.Addr != client.LocalAddr() {
		t.Errorf("the reply to an unconnected handle's datagram goes to %v", reply.Addr)
	}
	conntest.TrySend(t, server, asked.Reply([]byte("answer")))
	answer := conntest.Expect(t, client, "answer")
	if answer.Addr != server.LocalAddr() {
		t.Errorf("the answer came from %v", answer.Addr)
	}
	reply := answer.Reply([]byte("thanks"))
	if reply.Addr != (netip.AddrPort{}) {
		t.Errorf("the reply on a connected handle has the address %v", reply.Addr)
	}
	conntest.TrySend(t, client, reply)
	conntest.Expect(t, server, "thanks")
}

// What a handler sends is queued until its batch ends: it goes where it was accepted to go, also when the handle is
// connected to another, or to none, by the time it leaves.
func TestQueuedDatagramKeepsItsDestination(t *testing.T) {
	for _, connected := range []bool{false, true} { // before the handler runs, to the first
		t.Run(fmt.Sprint("connected ", connected), func(t *testing.T) {
			c := conntest.Loopback(t)
			wake, first, second := conntest.SocketTo(t, c), conntest.Socket(t), conntest.Socket(t)
			check := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			if connected {
				// Only its peer can wake a connected handle.
				first = wake
				check(c.Connect(conntest.AddrOf(first)))
			}
			completions := make(chan error, 10)
			send := func(d datagram.Datagram) {
				check(c.SendFunc(t.Context(), d, func(err error) { completions <- err }))
			}
			conntest.WriteNumbers(t, wake, 0, 3)
			calls := 0
			result := conntest.Serve(background, c, func(datagram.Datagram) {
				if calls++; calls != 2 { // the second and third are taken together: nothing leaves in between
					return
				}
				if !connected {
					check(c.TryQueue(datagram.To(conntest.AddrOf(second), []byte("unconnected, queued"))))
					send(datagram.To(conntest.AddrOf(second), []byte("unconnected")))
					check(c.Connect(conntest.AddrOf(first)))
				}
				check(c.TryQueue(conntest.ToPeer("to the first, queued")))
				send(conntest.ToPeer("to the first"))
				check(c.Disconnect())
				send(datagram.To(conntest.AddrOf(second), []byte("to the second, named")))
				check(c.Connect(conntest.AddrOf(second)))
				check(c.TryQueue(conntest.ToPeer("to the second, queued")))
				send(conntest.ToPeer("to the second"))
				check(c.Disconnect())
				check(c.StopRecv())
			})
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)
			completed, total := 3, 5
			if !connected {
				completed, total = 4, 7
			}
			for range completed {
				conntest.ExpectError(t, "done", await.Value(t, "a completion", completions), nil)
			}
			conntest.ExpectRead(t, first, "to the first, queued")
			conntest.ExpectRead(t, first, "to the first")
			if !connected {
				conntest.ExpectRead(t, second, "unconnected, queued")
				conntest.ExpectRead(t, second, "unconnected")
			}
			conntest.ExpectRead(t, second, "to the second, named")
			conntest.ExpectRead(t, second, "to the second, queued")
			conntest.ExpectRead(t, second, "to the second")
			conntest.ExpectError(t, "Flush", c.Flush(background), nil)
			if s := c.Stats(); s.SendErrors != 0 || s.Sent != uint64(total) {
				t.Errorf("%+v, want %d sent", s, total)
			}
		})
	}
}

// A stranger is whoever is not the peer. What strangers sent before Connect is dropped wherever it lies: in the
// channel, behind it, or in the system.
func TestConnectDropsWhatStrangersSent(t *testing.T) {
	const total = 40 // every other one is a stranger's
	for _, test := range []struct {
		name     string
		capacity int
		// prepare brings what was sent to where Connect has to find it.
		prepare func(t *testing.T, c *datagram.Conn)
		late    int // strangers' datagrams that come after that
		// underway says that nothing has waited until all that was sent has reached the socket.
		underway bool
	}{
		{"in the system", 8, func(*testing.T, *datagram.Conn) {}, 0, true},
		{"in the channel", 2 * total, func(t *testing.T, c *datagram.Conn) {
			c.Recv()
			conntest.AwaitHeld(t, c, total)
		}, 0, false},
		// With the reader that slow those that come late are still in the system.
		{"everywhere", 4, func(t *testing.T, c *datagram.Conn) {
			ch := c.Recv()
			await.Until(t, "the channel is full", func() bool { return len(ch) == cap(ch) })
		}, 5, true},
		{"in the channel and before it", 1, func(t *testing.T, c *datagram.Conn) {
			await.Until(t, "the channel is full", func() bool { return len(c.Recv()) == 1 })
		}, 0, true},
		{"stopped", 2 * total, func(t *testing.T, c *datagram.Conn) {
			c.Recv()
			await.Until(t, "all was received", func() bool { return c.Stats().Received == total })
			if err := c.StopRecv(); err != nil {
				t.Fatal(err)
			}
		}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := conntest.Loopback(t, datagram.WithRecvQueue(test.capacity, datagram.Block))
			peer, stranger := conntest.SocketTo(t, c), conntest.SocketTo(t, c)
			for i := range total {
				s := stranger
				if i%2 == 1 {
					s = peer
				}
				conntest.WriteNumbers(t, s, i, i+1)
			}
			test.prepare(t, c)
			conntest.WriteNumbers(t, stranger, total, total+test.late)
			if err := c.Connect(conntest.AddrOf(peer)); err != nil {
				t.Fatal(err)
			}
			for range 5 { // the system keeps them out now, and says so
				_, _ = stranger.Write([]byte("kept out"))
			}
			conntest.WriteNumbers(t, peer, 2000, 2001)
			ch := c.Recv()
			for i := 1; i < total; i += 2 {
				d := await.Value(t, "a datagram", ch)
				if string(d.Payload) != fmt.Sprint(i) || d.Addr != conntest.AddrOf(peer) {
					t.Fatalf("received %q from %v, want %d from the peer", d.Payload, d.Addr, i)
				}
				if reply := d.Reply(nil); reply.Addr.IsValid() {
					t.Fatalf("the reply names %v, which a connected handle refuses", reply.Addr)
				}
				d.Release()
			}
			conntest.ExpectNumbers(t, ch, 2000, 2001)
			dropped, delivered := uint64(total/2+test.late), uint64(total/2+1)
			// What was on its way when Connect was called is kept out by the system.
			if s := c.Stats(); s.PolicyDrops > dropped || s.PolicyDrops < dropped && !test.underway || s.Delivered != delivered || s.Received != s.PolicyDrops+delivered || s.Held != 0 {
				t.Errorf("received %d = delivered %d + dropped %d + held %d, want %d dropped, %d delivered",
					s.Received, s.Delivered, s.PolicyDrops, s.Held, dropped, delivered)
			}
		})
	}
}

func TestConnectWhileStoppedOrServing(t *testing.T) {
	c := conntest.Loopback(t)
	peer, stranger := conntest.SocketTo(t, c), conntest.SocketTo(t, c)
	c.Recv()
	conntest.WriteNumbers(t, stranger, 0, 1)
	conntest.WriteNumbers(t, peer, 1, 2)
	conntest.AwaitHeld(t, c, 2)
	c.StopRecv() // the two are in the channel
	conntest.WriteNumbers(t, stranger, 2, 3)
	conntest.WriteNumbers(t, peer, 3, 4)
	if err := c.Connect(conntest.AddrOf(peer)); err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 10)
	result := conntest.Serve(background, c, conntest.Noting(handled))
	for _, want := range []string{"1", "3"} {
		if got := await.Value(t, "the handler", handled); got != want {
			t.Errorf("handled %q, want %q", got, want)
		}
	}
	// Disconnected the handle hears strangers again.
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	conntest.WriteNumbers(t, conntest.SocketTo(t, c), 4, 5) // the other may have been told that it was kept out
	if got := await.Value(t, "the handler", handled); got != "4" {
		t.Errorf("handled %q, want 4", got)
	}
	c.StopRecv()
	await.Signal(t, "Serve", result)
	if s := c.Stats(); s.PolicyDrops != 2 && s.PolicyDrops != 1 { // the system keeps the second out if it is late
		t.Errorf("PolicyDrops is %d, want 2, or 1", s.PolicyDrops)
	}
}

// A handler of Serve may connect: what strangers sent together with what it handles is dropped.
func TestConnectInsideAHandler(t *testing.T) {
	c := conntest.Loopback(t)
	peer, stranger := conntest.SocketTo(t, c), conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, peer, 0, 1)
	conntest.WriteNumbers(t, stranger, 1, 3)
	conntest.WriteNumbers(t, peer, 3, 4)
	handled := make(chan string, 10)
	result := conntest.Serve(background, c, func(d datagram.Datagram) {
		if string(d.Payload) == "0" {
			if err := c.Connect(d.Addr); err != nil {
				t.Error(err)
			}
		}
		handled <- string(d.Payload)
	})
	for _, want := range []string{"0", "3"} {
		if got := await.Value(t, "the handler", handled); got != want {
			t.Errorf("handled %q, want %q", got, want)
		}
	}
	c.StopRecv()
	await.Signal(t, "Serve", result)
	if s := c.Stats(); s.PolicyDrops > 2 { // fewer if the system has kept some out, which were late
		t.Errorf("PolicyDrops is %d, want at most 2", s.PolicyDrops)
	}
}
