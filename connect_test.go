package datagram_test

import (
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
)

func TestDialAndConnectSetThePeer(t *testing.T) {
	peer, stranger := boundConn(t, "udp4", "127.0.0.1:0"), boundConn(t, "udp4", "127.0.0.1:0")
	connected := lazyConn(t)
	if err := connected.Connect(peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*datagram.Conn{"Dial": dialedConn(t, peer), "Connect": connected} {
		if c.RemoteAddr() != peer.LocalAddr() {
			t.Errorf("%s: the peer is %v, want %v", name, c.RemoteAddr(), peer.LocalAddr())
		}
		mustSend(t, stranger, datagram.To(c.LocalAddr(), []byte("stranger")))
		mustSend(t, peer, datagram.To(c.LocalAddr(), []byte("peer")))
		d := awaitPayload(t, c, "peer")
		if d.Addr != peer.LocalAddr() {
			t.Errorf("%s: received from %v", name, d.Addr)
		}
		mustSend(t, c, datagram.Datagram{Payload: []byte("answer")})
		awaitPayload(t, peer, "answer")
	}
}

// An empty host is the local one, as for net.Dial.
func TestDialWithoutHost(t *testing.T) {
	needIPv6(t)
	peer4, peer6 := boundConn(t, "udp4", "127.0.0.1:0"), boundConn(t, "udp6", "[::1]:0")
	for _, test := range []struct {
		network string
		peer    *datagram.Conn
	}{{"udp", peer4}, {"udp4", peer4}, {"udp6", peer6}} {
		port := netip.AddrPortFrom(netip.IPv4Unspecified(), test.peer.LocalAddr().Port()).String()[len("0.0.0.0"):]
		c, err := datagram.Dial(t.Context(), test.network, port)
		if err != nil {
			t.Fatal(err)
		}
		endWithTest(t, c)
		if c.RemoteAddr() != test.peer.LocalAddr() {
			t.Errorf("Dial %s %q has the peer %v, want %v", test.network, port, c.RemoteAddr(), test.peer.LocalAddr())
		}
	}
}

func TestConnectTwice(t *testing.T) {
	peer := boundConn(t, "udp4", "127.0.0.1:0")
	c := dialedConn(t, peer)
	before := stateOf(c)
	for _, again := range []netip.AddrPort{peer.LocalAddr(), netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("[::1]:9")} {
		checkOpError(t, c.Connect(again), opShape{
			op: "connect", network: "udp4", source: before.local, addr: again, is: syscall.EISCONN,
		})
		checkUnchanged(t, c, before)
	}
}

func TestConnectRefused(t *testing.T) {
	needIPv6(t)
	t.Run("without an address", func(t *testing.T) {
		for _, c := range []*datagram.Conn{lazyConn(t), boundConn(t, "udp4", "127.0.0.1:0")} {
			before := stateOf(c)
			checkErrno(t, c.Connect(netip.AddrPort{}), syscall.EINVAL)
			checkErrno(t, c.Connect(netip.AddrPortFrom(netip.Addr{}, 53)), syscall.EINVAL)
			checkUnchanged(t, c, before)
		}
	})
	t.Run("for the other family", func(t *testing.T) {
		for _, test := range []struct {
			local, peer string
			want        error
		}{
			{"127.0.0.1:0", "[::1]:9", syscall.EAFNOSUPPORT},
			{"[::1]:0", "127.0.0.1:9", nil}, // the error is the system's: EAFNOSUPPORT or ENETUNREACH
		} {
			c := boundConn(t, "udp", test.local)
			before := stateOf(c)
			err := c.Connect(netip.MustParseAddrPort(test.peer))
			checkOpError(t, err, opShape{
				op: "connect", network: "udp", source: before.local, addr: netip.MustParseAddrPort(test.peer), is: test.want,
			})
			checkUnchanged(t, c, before)
		}
	})
}

func TestDisconnectUnconnected(t *testing.T) {
	lazy := lazyConn(t)
	checkOpError(t, lazy.Disconnect(), opShape{op: "disconnect", network: "udp", is: syscall.ENOTCONN})
	if lazy.LocalAddr().IsValid() {
		t.Errorf("Disconnect bound %v", lazy.LocalAddr())
	}
	c := boundConn(t, "udp4", "127.0.0.1:0")
	before := stateOf(c)
	checkOpError(t, c.Disconnect(), opShape{op: "disconnect", network: "udp4", source: before.local, is: syscall.ENOTCONN})
	checkUnchanged(t, c, before)

	if err := c.Connect(netip.MustParseAddrPort("127.0.0.1:9")); err != nil {
		t.Fatal(err)
	}
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	checkErrno(t, c.Disconnect(), syscall.ENOTCONN)
	checkUnchanged(t, c, before)
}

// Linux forgets a port that it chose by itself, and makes the socket deaf.
func TestDisconnectKeepsAddressAndPort(t *testing.T) {
	needIPv6(t)
	free := boundConn(t, "udp4", "127.0.0.1:0")
	explicit := free.LocalAddr().String()
	free.Close()

	for _, test := range []struct{ network, address string }{
		{"udp4", "127.0.0.1:0"}, {"udp4", explicit}, {"udp4", ":0"}, {"udp", ":0"}, {"udp6", "[::1]:0"}, {"udp6", ":0"},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			c := boundConn(t, test.network, test.address)
			local, to := c.LocalAddr(), reachable(c)
			peer, other := lazyConn(t), lazyConn(t)
			// Their first use binds them, so that the peer's address is known.
			mustSend(t, peer, datagram.To(to, []byte("peer")))
			d := awaitPayload(t, c, "peer")

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
				mustSend(t, other, datagram.To(to, []byte("heard")))
				awaitPayload(t, c, "heard")
			}
		})
	}
	t.Run("dialed", func(t *testing.T) {
		peer := boundConn(t, "udp4", "127.0.0.1:0")
		c := dialedConn(t, peer)
		to := c.LocalAddr()
		if err := c.Disconnect(); err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().Port() != to.Port() {
			t.Fatalf("Disconnect left %v, want the port of %v", c.LocalAddr(), to)
		}
		mustSend(t, boundConn(t, "udp4", "127.0.0.1:0"), datagram.To(to, []byte("heard")))
		awaitPayload(t, c, "heard")
	})
}

// Whether a destination is due is known at once: no queue, no completion.
func TestDestinationIsCheckedAtOnce(t *testing.T) {
	peer := boundConn(t, "udp4", "127.0.0.1:0")
	none := netip.AddrPort{}
	never := neverDone(t) // checked after the handles have ended
	for _, test := range []struct {
		name string
		conn *datagram.Conn
		to   netip.AddrPort
		want error
	}{
		{"connected, own peer", dialedConn(t, peer), peer.LocalAddr(), syscall.EISCONN},
		{"connected, stranger", dialedConn(t, peer), netip.MustParseAddrPort("127.0.0.1:9"), syscall.EISCONN},
		{"unconnected", boundConn(t, "udp4", "127.0.0.1:0"), none, syscall.EDESTADDRREQ},
		{"unconnected, port alone", boundConn(t, "udp4", "127.0.0.1:0"), netip.AddrPortFrom(netip.Addr{}, 9), syscall.EDESTADDRREQ},
		{"without a socket", lazyConn(t), none, syscall.EDESTADDRREQ},
	} {
		uses := append([]firstUse{{"SendFunc with done", func(t *testing.T, c *datagram.Conn, to netip.AddrPort) error {
			return c.SendFunc(t.Context(), datagram.To(to, nil), never)
		}}}, sendUses...)
		for _, use := range uses {
			t.Run(test.name+" "+use.name, func(t *testing.T) {
				before := stateOf(test.conn)
				err := use.use(t, test.conn, test.to)
				network := "udp4"
				if !before.local.IsValid() {
					network = "udp"
				}
				want := opShape{op: "write", network: network, source: before.local, is: test.want}
				if test.to.Addr().IsValid() {
					want.addr = test.to
				}
				checkOpError(t, err, want)
				checkUnchanged(t, test.conn, before)
			})
		}
	}
}

func TestReplyNamesThePeerUnlessConnected(t *testing.T) {
	server := boundConn(t, "udp4", "127.0.0.1:0")
	client := dialedConn(t, server)
	mustSend(t, client, datagram.Datagram{Payload: []byte("ask")})
	asked := awaitPayload(t, server, "ask")
	if reply := asked.Reply(nil); reply.Addr != client.LocalAddr() {
		t.Errorf("the reply to an unconnected handle's datagram goes to %v", reply.Addr)
	}
	mustSend(t, server, asked.Reply([]byte("answer")))
	answer := awaitPayload(t, client, "answer")
	if answer.Addr != server.LocalAddr() {
		t.Errorf("the answer came from %v", answer.Addr)
	}
	reply := answer.Reply([]byte("thanks"))
	if reply.Addr != (netip.AddrPort{}) {
		t.Errorf("the reply on a connected handle has the address %v", reply.Addr)
	}
	mustSend(t, client, reply)
	awaitPayload(t, server, "thanks")
}

// What a handler sends is queued until its batch ends, so that Connect and
// Disconnect come in between.
func TestQueuedDatagramKeepsItsDestination(t *testing.T) {
	first, second := boundConn(t, "udp4", "127.0.0.1:0"), boundConn(t, "udp4", "127.0.0.1:0")
	c := dialedConn(t, first)
	handled := make(chan struct{})
	completions := make(chan error, 4)
	send := func(d datagram.Datagram) {
		err := c.SendFunc(t.Context(), d, func(err error) { completions <- err })
		if err != nil {
			t.Error(err)
		}
	}
	go func() {
		defer close(handled)
		_ = c.Serve(t.Context(), func(datagram.Datagram) {
			send(datagram.Datagram{Payload: []byte("to the first")})
			if err := c.Disconnect(); err != nil {
				t.Error(err)
			}
			send(datagram.To(second.LocalAddr(), []byte("to the second, named")))
			if err := c.Connect(second.LocalAddr()); err != nil {
				t.Error(err)
			}
			send(datagram.Datagram{Payload: []byte("to the second")})
			if err := c.Disconnect(); err != nil {
				t.Error(err)
			}
			if err := c.StopRecv(); err != nil {
				t.Error(err)
			}
		})
	}()
	mustSend(t, first, datagram.To(c.LocalAddr(), []byte("begin")))
	awaitClosed(t, handled, "Serve")
	for range 3 {
		if err := awaitValue(t, completions, "a completion"); err != nil {
			t.Error(err)
		}
	}
	awaitPayload(t, first, "to the first")
	awaitPayload(t, second, "to the second, named")
	awaitPayload(t, second, "to the second")
}

// The system still hands out what strangers sent before Connect.
func TestConnectDropsWhatStrangersSent(t *testing.T) {
	for _, test := range []struct {
		name string
		// prepare brings two of a stranger's datagrams and one of the peer's to
		// where Connect has to find them.
		prepare func(t *testing.T, c *datagram.Conn)
	}{
		{"in the system", func(*testing.T, *datagram.Conn) {}},
		{"in the channel", func(t *testing.T, c *datagram.Conn) {
			c.Recv()
			awaitCondition(t, "all is in the channel", func() bool { return c.Stats().Held == 3 })
		}},
		{"in the channel and before it", func(t *testing.T, c *datagram.Conn) {
			c.Recv()
			awaitCondition(t, "the channel is full", func() bool { return len(c.Recv()) == 1 })
		}},
		{"stopped", func(t *testing.T, c *datagram.Conn) {
			c.Recv()
			awaitCondition(t, "all was received", func() bool { return c.Stats().Received == 3 })
			if err := c.StopRecv(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			capacity := 8
			if test.name == "in the channel and before it" {
				capacity = 1
			}
			c := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithRecvQueue(capacity, datagram.Block))
			peer, stranger := boundConn(t, "udp4", "127.0.0.1:0"), boundConn(t, "udp4", "127.0.0.1:0")
			mustSend(t, stranger, datagram.To(c.LocalAddr(), []byte("stranger")))
			mustSend(t, peer, datagram.To(c.LocalAddr(), []byte("before")))
			mustSend(t, stranger, datagram.To(c.LocalAddr(), []byte("stranger")))
			test.prepare(t, c)
			if err := c.Connect(peer.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			mustSend(t, peer, datagram.To(c.LocalAddr(), []byte("after")))
			d := awaitPayload(t, c, "before")
			if reply := d.Reply(nil); reply.Addr.IsValid() {
				t.Errorf("the reply names %v, which a connected handle refuses", reply.Addr)
			}
			awaitPayload(t, c, "after")
			if s := c.Stats(); s.PolicyDrops != 2 || s.Delivered != 2 || s.Received != 4 || s.Held != 0 {
				t.Errorf("received %d = delivered %d + dropped %d + held %d, want 4 = 2 + 2 + 0",
					s.Received, s.Delivered, s.PolicyDrops, s.Held)
			}
		})
	}
}
