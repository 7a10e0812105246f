package datagram_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
)

// countSockets returns an option that counts the sockets that a handle makes.
func countSockets(n *int) datagram.Option {
	return datagram.WithControl(func(string, string, syscall.RawConn) error {
		*n++
		return nil
	})
}

func TestNewOpensNothing(t *testing.T) {
	sockets := 0
	c := lazyConn(t, countSockets(&sockets), datagram.WithTTL(9))
	if err := c.SetMulticastTTL(5); err != nil {
		t.Fatal(err)
	}
	_, _ = c.TTL()
	c.SendQueueSize()
	_ = c.Stats()
	_ = c.StopRecv()
	if c.LocalAddr().IsValid() || c.RemoteAddr().IsValid() || c.Active() || sockets != 0 {
		t.Errorf("a new handle has made %d sockets: local %v, remote %v, active %v",
			sockets, c.LocalAddr(), c.RemoteAddr(), c.Active())
	}
	if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if !c.LocalAddr().IsValid() || sockets != 1 {
		t.Errorf("Bind made %d sockets, local %v", sockets, c.LocalAddr())
	}
}

// A firstUse is a call that binds a handle without a socket.
type firstUse struct {
	name string
	use  func(t *testing.T, c *datagram.Conn, to netip.AddrPort) error
}

var sendUses = []firstUse{
	{"Send", func(t *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		return c.Send(t.Context(), datagram.To(to, []byte("x")))
	}},
	{"SendFunc", func(t *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		return c.SendFunc(t.Context(), datagram.To(to, []byte("x")), nil)
	}},
	{"SendBuffers", func(t *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		return c.SendBuffers(t.Context(), datagram.To(to, nil), [][]byte{[]byte("x")}, nil)
	}},
	{"TryQueue", func(_ *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		return c.TryQueue(datagram.To(to, []byte("x")))
	}},
	{"TrySend", func(_ *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		_, err := c.TrySend(datagram.To(to, []byte("x")))
		return err
	}},
	{"TrySendBuffers", func(_ *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		_, err := c.TrySendBuffers(datagram.To(to, nil), [][]byte{[]byte("x")})
		return err
	}},
	{"TrySendBatch", func(_ *testing.T, c *datagram.Conn, to netip.AddrPort) error {
		_, err := c.TrySendBatch([]datagram.Datagram{datagram.To(to, []byte("x"))})
		return err
	}},
}

func TestFirstSendBindsByFamilyOfDestination(t *testing.T) {
	needIPv6(t)
	sink4, sink6 := boundConn(t, "udp4", "127.0.0.1:0"), boundConn(t, "udp6", "[::1]:0")
	for _, test := range sendUses {
		for _, sink := range []*datagram.Conn{sink4, sink6} {
			to := sink.LocalAddr()
			t.Run(test.name+" to "+to.Addr().String(), func(t *testing.T) {
				c := lazyConn(t)
				if err := test.use(t, c, to); err != nil {
					t.Fatal(err)
				}
				local := c.LocalAddr()
				if !local.Addr().IsUnspecified() || local.Addr().Is4() != to.Addr().Is4() || local.Port() == 0 {
					t.Errorf("bound to %v", local)
				}
				d := awaitPayload(t, sink, "x")
				if d.Addr != netip.AddrPortFrom(to.Addr(), local.Port()) {
					t.Errorf("it came from %v", d.Addr)
				}
				checkErrno(t, c.Bind(t.Context(), "udp", "127.0.0.1:0"), syscall.EINVAL)
				if c.LocalAddr() != local {
					t.Errorf("Bind moved %v to %v", local, c.LocalAddr())
				}
			})
		}
	}
}

func TestFirstReceiveBindsIPv4(t *testing.T) {
	sender := boundConn(t, "udp4", "127.0.0.1:0")
	check := func(t *testing.T, c *datagram.Conn) {
		if local := c.LocalAddr(); local.Addr() != netip.IPv4Unspecified() || local.Port() == 0 {
			t.Errorf("bound to %v", local)
		}
		checkErrno(t, c.Bind(t.Context(), "udp", "127.0.0.1:0"), syscall.EINVAL)
	}
	t.Run("Recv", func(t *testing.T) {
		c := lazyConn(t)
		c.Recv()
		check(t, c)
		mustSend(t, sender, datagram.To(reachable(c), []byte("x")))
		awaitPayload(t, c, "x")
	})
	t.Run("Serve", func(t *testing.T) {
		c := lazyConn(t)
		handled, served := make(chan string), make(chan error)
		go func() {
			served <- c.Serve(t.Context(), func(d datagram.Datagram) { handled <- string(d.Payload) })
		}()
		awaitCondition(t, "Serve has bound the handle", func() bool { return c.LocalAddr().IsValid() })
		check(t, c)
		mustSend(t, sender, datagram.To(reachable(c), []byte("x")))
		if got := awaitValue(t, handled, "the handler"); got != "x" {
			t.Errorf("handled %q", got)
		}
		if err := c.StopRecv(); err != nil {
			t.Error(err)
		}
		if err := awaitValue(t, served, "Serve"); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectBindsByFamilyOfPeer(t *testing.T) {
	needIPv6(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		peer := boundConn(t, "udp", address)
		c := lazyConn(t)
		if err := c.Connect(peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if local := c.LocalAddr(); local.Addr() != peer.LocalAddr().Addr() || local.Port() == 0 {
			t.Errorf("connecting to %v bound %v", peer.LocalAddr(), local)
		}
		checkErrno(t, c.Bind(t.Context(), "udp", "127.0.0.1:0"), syscall.EINVAL)
	}
}

func TestSecondBindLeavesTheFirst(t *testing.T) {
	for _, second := range []struct{ network, address string }{
		{"udp", ":0"}, {"udp4", "127.0.0.1:0"}, {"udp4", "127.0.0.2:0"}, {"udp6", "[::1]:0"},
	} {
		t.Run(second.network+" "+second.address, func(t *testing.T) {
			c := boundConn(t, "udp4", "127.0.0.1:0")
			before := stateOf(c)
			err := c.Bind(t.Context(), second.network, second.address)
			checkOpError(t, err, opShape{op: "listen", network: "udp4", source: before.local, is: syscall.EINVAL})
			checkUnchanged(t, c, before)
			mustSend(t, c, datagram.To(before.local, []byte("here")))
			awaitPayload(t, c, "here")
		})
	}
}

func TestFailedBindCanBeRepeated(t *testing.T) {
	taken := boundConn(t, "udp4", "127.0.0.1:0")
	c := lazyConn(t)
	before := stateOf(c)
	err := c.Bind(t.Context(), "udp4", taken.LocalAddr().String())
	checkOpError(t, err, opShape{op: "listen", network: "udp4", addr: taken.LocalAddr(), is: syscall.EADDRINUSE})
	checkUnchanged(t, c, before)
	_, err = datagram.Listen(t.Context(), "udp4", taken.LocalAddr().String())
	checkOpError(t, err, opShape{op: "listen", network: "udp4", addr: taken.LocalAddr(), is: syscall.EADDRINUSE})

	// RFC 5737: an address of the documentation, which no host has.
	foreign := netip.MustParseAddrPort("203.0.113.1:0")
	err = c.Bind(t.Context(), "udp4", foreign.String())
	checkOpError(t, err, opShape{op: "listen", network: "udp4", addr: foreign, is: syscall.EADDRNOTAVAIL})
	checkUnchanged(t, c, before)

	// Neither address nor family of the failures sticks.
	if err := c.Bind(t.Context(), "udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
}

func TestNetworks(t *testing.T) {
	needIPv6(t)
	only := []datagram.Option{datagram.WithIPv6Only()}
	for _, test := range []struct {
		network, address string
		opts             []datagram.Option
		local            string
		v4, v6           bool // which senders reach it
	}{
		{"udp", ":0", nil, "::", true, true},
		{"udp", "[::]:0", nil, "::", true, true},
		{"udp", "0.0.0.0:0", nil, "::", true, true}, // as package net has it
		{"udp", ":0", only, "::", false, true},
		{"udp", "[::]:0", only, "::", false, true},
		{"udp", "127.0.0.1:0", nil, "127.0.0.1", true, false},
		{"udp", "[::ffff:127.0.0.1]:0", nil, "127.0.0.1", true, false},
		{"udp", "[::1]:0", nil, "::1", false, true},
		{"udp4", ":0", nil, "0.0.0.0", true, false},
		{"udp4", "0.0.0.0:0", nil, "0.0.0.0", true, false},
		{"udp6", ":0", nil, "::", false, true},
		{"udp6", "[::]:0", nil, "::", false, true},
		{"udp6", "[::1]:0", only, "::1", false, true},
	} {
		name := test.network + " " + test.address
		if test.opts != nil {
			name += " IPv6 only"
		}
		t.Run(name, func(t *testing.T) {
			c := boundConn(t, test.network, test.address, test.opts...)
			local := c.LocalAddr()
			if local.Addr().String() != test.local || local.Port() == 0 {
				t.Errorf("bound to %v, want %v", local, test.local)
			}
			for _, from := range []netip.Addr{loopback4, loopback6} {
				sender := lazyConn(t)
				_, err := sender.TrySend(datagram.To(netip.AddrPortFrom(from, local.Port()), []byte(from.String())))
				if err != nil {
					t.Fatal(err)
				}
				if from.Is4() && test.v4 || from.Is6() && test.v6 {
					d := awaitPayload(t, c, from.String())
					if d.Addr != netip.AddrPortFrom(from, sender.LocalAddr().Port()) {
						t.Errorf("from %v, want the unmapped %v", d.Addr, from)
					}
					if _, err := c.TrySend(d.Reply([]byte("back"))); err != nil {
						t.Errorf("answering %v: %v", d.Addr, err)
					}
					awaitPayload(t, sender, "back")
				}
			}
			// On loopback what was sent has arrived, or never will.
			last := lazyConn(t)
			to := netip.AddrPortFrom(loopback6, local.Port())
			if test.v4 {
				to = netip.AddrPortFrom(loopback4, local.Port())
			}
			mustSend(t, last, datagram.To(to, []byte("last")))
			awaitPayload(t, c, "last")
		})
	}
}

func TestIPv6OnlyWithIPv4IsRefused(t *testing.T) {
	for _, test := range []struct{ network, address string }{
		{"udp4", ":0"}, {"udp", "127.0.0.1:0"},
	} {
		_, err := datagram.Listen(t.Context(), test.network, test.address, datagram.WithIPv6Only())
		checkErrno(t, err, syscall.EINVAL)
		if op := err.(*net.OpError); op.Op != "listen" || op.Net != test.network {
			t.Errorf("the error is of %q %q", op.Op, op.Net)
		}
	}
	c := lazyConn(t, datagram.WithIPv6Only())
	awaitClosed(t, c.Recv(), "what cannot be IPv4")
	checkErrno(t, c.Err(), syscall.EINVAL)
	if c.LocalAddr().IsValid() || c.Active() {
		t.Errorf("a refused Recv left %v, active %v", c.LocalAddr(), c.Active())
	}
}

// Listening on a group is what package net makes of it.
func TestListenOnGroup(t *testing.T) {
	needIPv6(t)
	for _, test := range []struct{ network, group, wildcard string }{
		{"udp4", "239.255.7.7", "0.0.0.0"}, {"udp", "239.255.7.7", "0.0.0.0"}, {"udp6", "[ff02::7:7]", "::"},
	} {
		first := boundConn(t, test.network, test.group+":0")
		local := first.LocalAddr()
		if local.Addr().String() != test.wildcard || local.Port() == 0 {
			t.Errorf("%s %s: bound to %v, want the wildcard", test.network, test.group, local)
		}
		// The port is shared, as members of a group on one host need it.
		boundConn(t, test.network, fmt.Sprintf("%s:%d", test.group, local.Port()))
	}
}

func TestEndedContextOpensNothing(t *testing.T) {
	sockets := 0
	c := lazyConn(t, countSockets(&sockets))
	before := stateOf(c)
	if err := c.Bind(endedContext(t), "udp4", "127.0.0.1:0"); err != context.Canceled {
		t.Errorf("Bind: %v, want the bare error of the context", err)
	}
	checkUnchanged(t, c, before)
	if _, err := datagram.Listen(endedContext(t), "udp4", "127.0.0.1:0", countSockets(&sockets)); err != context.Canceled {
		t.Errorf("Listen: %v", err)
	}
	if _, err := datagram.Dial(endedContext(t), "udp4", "127.0.0.1:9", countSockets(&sockets)); err != context.Canceled {
		t.Errorf("Dial: %v", err)
	}
	if sockets != 0 {
		t.Errorf("%d sockets were made", sockets)
	}
}
