package datagram_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
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
	c := conntest.New(t, countSockets(&sockets), datagram.WithTTL(9))
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
	testenv.NeedIPv6(t)
	sink4, sink6 := conntest.Loopback(t), conntest.Listen(t, "udp6", "[::1]:0")
	for _, test := range sendUses {
		for _, sink := range []*datagram.Conn{sink4, sink6} {
			to := sink.LocalAddr()
			t.Run(test.name+" to "+to.Addr().String(), func(t *testing.T) {
				c := conntest.New(t)
				if err := test.use(t, c, to); err != nil {
					t.Fatal(err)
				}
				local := c.LocalAddr()
				if !local.Addr().IsUnspecified() || local.Addr().Is4() != to.Addr().Is4() || local.Port() == 0 {
					t.Errorf("bound to %v", local)
				}
				d := conntest.Expect(t, sink, "x")
				if d.Addr != netip.AddrPortFrom(to.Addr(), local.Port()) {
					t.Errorf("it came from %v", d.Addr)
				}
				conntest.CheckErrno(t, c.Bind(t.Context(), "udp", "127.0.0.1:0"), syscall.EINVAL)
				if c.LocalAddr() != local {
					t.Errorf("Bind moved %v to %v", local, c.LocalAddr())
				}
			})
		}
	}
}

func TestFirstReceiveBindsIPv4(t *testing.T) {
	sender := conntest.Loopback(t)
	check := func(t *testing.T, c *datagram.Conn) {
		if local := c.LocalAddr(); local.Addr() != netip.IPv4Unspecified() || local.Port() == 0 {
			t.Errorf("bound to %v", local)
		}
		conntest.CheckErrno(t, c.Bind(t.Context(), "udp", "127.0.0.1:0"), syscall.EINVAL)
	}
	t.Run("Recv", func(t *testing.T) {
		c := conntest.New(t)
		c.Recv()
		check(t, c)
		conntest.TrySend(t, sender, datagram.To(conntest.Reachable(c), []byte("x")))
		conntest.Expect(t, c, "x")
	})
	t.Run("Serve", func(t *testing.T) {
		c := conntest.New(t)
		handled, served := make(chan string), make(chan error)
		go func() {
			served <- c.Serve(t.Context(), func(d datagram.Datagram) { handled <- string(d.Payload) })
		}()
		await.Until(t, "Serve has bound the handle", func() bool { return c.LocalAddr().IsValid() })
		check(t, c)
		conntest.TrySend(t, sender, datagram.To(conntest.Reachable(c), []byte("x")))
		if got := await.Value(t, "the handler", handled); got != "x" {
			t.Errorf("handled %q", got)
		}
		if err := c.StopRecv(); err != nil {
			t.Error(err)
		}
		if err := await.Value(t, "Serve", served); err != nil {
			t.Error(err)
		}
	})
}

func TestConnectBindsByFamilyOfPeer(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		peer := conntest.Listen(t, "udp", address)
		c := conntest.New(t)
		if err := c.Connect(peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if local := c.LocalAddr(); local.Addr() != peer.LocalAddr().Addr() || local.Port() == 0 {
			t.Errorf("connecting to %v bound %v", peer.LocalAddr(), local)
		}
		conntest.CheckErrno(t, c.Bind(t.Context(), "udp", "127.0.0.1:0"), syscall.EINVAL)
	}
}

func TestSecondBindLeavesTheFirst(t *testing.T) {
	for _, second := range []struct{ network, address string }{
		{"udp", ":0"}, {"udp4", "127.0.0.1:0"}, {"udp4", "127.0.0.2:0"}, {"udp6", "[::1]:0"},
	} {
		t.Run(second.network+" "+second.address, func(t *testing.T) {
			c := conntest.Loopback(t)
			before := conntest.StateOf(c)
			err := c.Bind(t.Context(), second.network, second.address)
			conntest.CheckOpError(t, err, conntest.OpError{Op: "listen", Network: "udp4", Source: before.Local, Is: syscall.EINVAL})
			conntest.CheckUnchanged(t, c, before)
			conntest.TrySend(t, c, datagram.To(before.Local, []byte("here")))
			conntest.Expect(t, c, "here")
		})
	}
}

func TestFailedBindCanBeRepeated(t *testing.T) {
	taken := conntest.Loopback(t)
	c := conntest.New(t)
	before := conntest.StateOf(c)
	err := c.Bind(t.Context(), "udp4", taken.LocalAddr().String())
	conntest.CheckOpError(t, err, conntest.OpError{Op: "listen", Network: "udp4", Addr: taken.LocalAddr(), Is: syscall.EADDRINUSE})
	conntest.CheckUnchanged(t, c, before)
	_, err = datagram.Listen(t.Context(), "udp4", taken.LocalAddr().String())
	conntest.CheckOpError(t, err, conntest.OpError{Op: "listen", Network: "udp4", Addr: taken.LocalAddr(), Is: syscall.EADDRINUSE})

	// RFC 5737: an address of the documentation, which no host has.
	foreign := netip.MustParseAddrPort("203.0.113.1:0")
	err = c.Bind(t.Context(), "udp4", foreign.String())
	conntest.CheckOpError(t, err, conntest.OpError{Op: "listen", Network: "udp4", Addr: foreign, Is: syscall.EADDRNOTAVAIL})
	conntest.CheckUnchanged(t, c, before)

	// Neither address nor family of the failures sticks.
	if err := c.Bind(t.Context(), "udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
}

func TestNetworks(t *testing.T) {
	testenv.NeedIPv6(t)
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
			c := conntest.Listen(t, test.network, test.address, test.opts...)
			local := c.LocalAddr()
			if local.Addr().String() != test.local || local.Port() == 0 {
				t.Errorf("bound to %v, want %v", local, test.local)
			}
			for _, from := range []netip.Addr{conntest.Localhost4, conntest.Localhost6} {
				sender := conntest.New(t)
				_, err := sender.TrySend(datagram.To(netip.AddrPortFrom(from, local.Port()), []byte(from.String())))
				if err != nil {
					t.Fatal(err)
				}
				if from.Is4() && test.v4 || from.Is6() && test.v6 {
					d := conntest.Expect(t, c, from.String())
					if d.Addr != netip.AddrPortFrom(from, sender.LocalAddr().Port()) {
						t.Errorf("from %v, want the unmapped %v", d.Addr, from)
					}
					if _, err := c.TrySend(d.Reply([]byte("back"))); err != nil {
						t.Errorf("answering %v: %v", d.Addr, err)
					}
					conntest.Expect(t, sender, "back")
				}
			}
			// On loopback what was sent has arrived, or never will.
			last := conntest.New(t)
			to := netip.AddrPortFrom(conntest.Localhost6, local.Port())
			if test.v4 {
				to = netip.AddrPortFrom(conntest.Localhost4, local.Port())
			}
			conntest.TrySend(t, last, datagram.To(to, []byte("last")))
			conntest.Expect(t, c, "last")
		})
	}
}

func TestIPv6OnlyWithIPv4IsRefused(t *testing.T) {
	for _, test := range []struct{ network, address string }{
		{"udp4", ":0"}, {"udp", "127.0.0.1:0"},
	} {
		_, err := datagram.Listen(t.Context(), test.network, test.address, datagram.WithIPv6Only())
		conntest.CheckErrno(t, err, syscall.EINVAL)
		if op := err.(*net.OpError); op.Op != "listen" || op.Net != test.network {
			t.Errorf("the error is of %q %q", op.Op, op.Net)
		}
	}
	c := conntest.New(t, datagram.WithIPv6Only())
	await.Closed(t, "what cannot be IPv4", c.Recv())
	conntest.CheckErrno(t, c.Err(), syscall.EINVAL)
	if c.LocalAddr().IsValid() || c.Active() {
		t.Errorf("a refused Recv left %v, active %v", c.LocalAddr(), c.Active())
	}
}

// Listening on a group is what package net makes of it.
func TestListenOnGroup(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, test := range []struct{ network, group, wildcard string }{
		{"udp4", "239.255.7.7", "0.0.0.0"}, {"udp", "239.255.7.7", "0.0.0.0"}, {"udp6", "[ff02::7:7]", "::"},
	} {
		first := conntest.Listen(t, test.network, test.group+":0")
		local := first.LocalAddr()
		if local.Addr().String() != test.wildcard || local.Port() == 0 {
			t.Errorf("%s %s: bound to %v, want the wildcard", test.network, test.group, local)
		}
		// The port is shared, as members of a group on one host need it.
		conntest.Listen(t, test.network, fmt.Sprintf("%s:%d", test.group, local.Port()))
	}
}

func TestEndedContextOpensNothing(t *testing.T) {
	sockets := 0
	c := conntest.New(t, countSockets(&sockets))
	before := conntest.StateOf(c)
	if err := c.Bind(conntest.EndedContext(t), "udp4", "127.0.0.1:0"); err != context.Canceled {
		t.Errorf("Bind: %v, want the bare error of the context", err)
	}
	conntest.CheckUnchanged(t, c, before)
	if _, err := datagram.Listen(conntest.EndedContext(t), "udp4", "127.0.0.1:0", countSockets(&sockets)); err != context.Canceled {
		t.Errorf("Listen: %v", err)
	}
	if _, err := datagram.Dial(conntest.EndedContext(t), "udp4", "127.0.0.1:9", countSockets(&sockets)); err != context.Canceled {
		t.Errorf("Dial: %v", err)
	}
	if sockets != 0 {
		t.Errorf("%d sockets were made", sockets)
	}
}

// meanwhile returns a handle that is bound while do is called with it, on another goroutine, between the making and
// the binding of the socket; and what Bind returned.
func meanwhile(t *testing.T, do func(*datagram.Conn)) (*datagram.Conn, error) {
	t.Helper()
	var c *datagram.Conn
	c = conntest.New(t, datagram.WithControl(func(string, string, syscall.RawConn) error {
		done := make(chan struct{})
		go func() {
			defer close(done)
			do(c)
		}()
		<-done
		return nil
	}))
	return c, c.Bind(t.Context(), "udp4", "127.0.0.1:0")
}

func TestSettingsWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.SetTTL(9); err != nil {
			t.Error(err)
		}
		c.SetSegmentation(false)
	})
	if err != nil {
		t.Fatal(err)
	}
	if ttl, err := c.TTL(); ttl != 9 || err != nil {
		t.Errorf("TTL %d, %v; want 9", ttl, err)
	}
	if c.Capabilities().GSO.Active {
		t.Error("it segments")
	}
}

func TestRefusedSettingWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.SetMulticastInterface(&net.Interface{Index: 1 << 30}); err != nil {
			t.Error(err)
		}
	})
	if op, ok := err.(*net.OpError); !ok || op.Op != "set" || c.LocalAddr().IsValid() {
		t.Errorf("Bind returned %v, and the handle is bound to %v", err, c.LocalAddr())
	}
}

func TestCloseWhileTheSocketIsMade(t *testing.T) {
	c, err := meanwhile(t, func(c *datagram.Conn) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	conntest.CheckErrno(t, err, net.ErrClosed)
	await.Closed(t, "the handle", c.Done())
}

// Who waits for a socket that somebody else makes waits no longer than its context allows, and makes none
// after Close. Done waits for the control function.
func TestWaitForTheSocket(t *testing.T) {
	calls := 0
	entered, release := make(chan struct{}), make(chan struct{})
	c := conntest.New(t, datagram.WithControl(func(string, string, syscall.RawConn) error {
		calls++
		close(entered)
		<-release
		return nil
	}))
	bound, sent := make(chan error, 1), make(chan error, 1)
	go func() { bound <- c.Bind(background, "udp4", "127.0.0.1:0") }()
	await.Closed(t, "the beginning", entered)
	to := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), nil)
	ctx, cancel := context.WithCancel(background)
	go func() { sent <- c.Send(ctx, to) }()
	cancel()
	if err := await.Value(t, "Send", sent); err != context.Canceled {
		t.Errorf("Send returned %v, want %v", err, context.Canceled)
	}
	go func() { sent <- c.TryQueue(to) }()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-c.Done():
		t.Error("Done, and the control function runs")
	default:
	}
	close(release)
	conntest.CheckErrno(t, await.Value(t, "Bind", bound), net.ErrClosed)
	conntest.CheckErrno(t, await.Value(t, "TryQueue", sent), net.ErrClosed)
	await.Closed(t, "the handle", c.Done())
	if calls != 1 {
		t.Errorf("%d sockets were made", calls)
	}
}

// slowNames is a network that takes its time to look up a name.
type slowNames struct {
	socket.Network
	asked, release chan struct{}
}

func (s slowNames) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	close(s.asked)
	<-s.release
	return []netip.Addr{conntest.Localhost4}, nil
}

// Nobody waits for a name that Bind looks up: the first use makes the socket.
func TestNamesKeepNobodyWaiting(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	c := conntest.New(t, hook.WrapNetwork(func(n socket.Network) socket.Network {
		return slowNames{n, asked, release}
	}).(datagram.Option))
	bound := make(chan error, 1)
	go func() { bound <- c.Bind(background, "udp4", "slow.example:0") }()
	await.Closed(t, "the lookup", asked)
	conntest.TrySend(t, c, datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), nil))
	close(release)
	conntest.CheckErrno(t, await.Value(t, "Bind", bound), syscall.EINVAL)
}

// singleFamily is a network whose sockets have one family, where package net takes "udp" for IPv4.
type singleFamily struct{ socket.Network }

func (n singleFamily) Listen(ctx context.Context, network, address string, config socket.Config) (socket.Socket, error) {
	if network == "udp" {
		network, address = "udp4", "0.0.0.0:0"
	}
	return n.Network.Listen(ctx, network, address, config)
}

// Without sockets for both families, the first destination chooses the family.
func TestFirstUseChoosesTheFamily(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, host := range []netip.Addr{conntest.Localhost4, netip.IPv6Loopback()} {
		peer := conntest.Listen(t, "udp", netip.AddrPortFrom(host, 0).String())
		c := conntest.New(t, hook.WrapNetwork(func(n socket.Network) socket.Network { return singleFamily{n} }).(datagram.Option))
		conntest.TrySend(t, c, datagram.To(peer.LocalAddr(), []byte("hello")))
		d := await.Value(t, "the datagram", peer.Recv())
		if d.Addr.Addr() != host {
			t.Errorf("%v came from %v", host, d.Addr)
		}
		d.Release()
	}
}

// A lookup that is given up returns the context's error as it is.
func TestLookupEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	const name = "localhost:9"
	for op, err := range map[string]error{
		"Listen":  conntest.Err(datagram.Listen(ctx, "udp4", name)),
		"Dial":    conntest.Err(datagram.Dial(ctx, "udp4", name)),
		"Resolve": conntest.Err(datagram.Resolve(ctx, "udp4", name)),
	} {
		if err != context.Canceled {
			t.Errorf("%s: %v, want %v", op, err, context.Canceled)
		}
	}
}

// A handle without a socket uses nothing, and says why.
func TestCapabilitiesWithoutSocket(t *testing.T) {
	c := conntest.New(t)
	for _, want := range []string{"no socket yet", "closed"} {
		if got := c.Capabilities(); got.GSO != (datagram.Feature{Reason: want}) || got.Time != got.GSO {
			t.Errorf("%v, want off: %s", got, want)
		}
		c.Close()
	}
}

// What a log shows of a handle is a line that names it.
func TestConnString(t *testing.T) {
	check := func(c *datagram.Conn, want string) {
		t.Helper()
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if got := fmt.Sprintf(verb, c); got != want {
				t.Errorf("%s: %q, want %q", verb, got, want)
			}
		}
	}
	c := conntest.New(t)
	check(c, "udp, no socket yet")
	if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	local := c.LocalAddr().String()
	check(c, "udp4 "+local)
	dialed := conntest.Dial(t, c)
	check(dialed, "udp4 "+dialed.LocalAddr().String()+" -> "+local)
	c.Close()
	check(c, "udp4, closed")
	never := conntest.New(t)
	never.Close()
	check(never, "udp, closed")
}

// Printing a handle disturbs nobody who uses it.
func TestConnStringBesideUse(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithData("data"))
	to := datagram.To(c.LocalAddr(), []byte("secret"))
	var together sync.WaitGroup
	together.Go(func() {
		for range 200 {
			if s := fmt.Sprintf("%v %+v", c, c); !strings.HasPrefix(s, "udp4") || strings.Contains(s, "0x") {
				t.Errorf("it calls itself %q", s)
				return
			}
		}
	})
	together.Go(func() {
		for i := range 200 {
			_ = c.Send(t.Context(), to)
			c.SetData(i)
			_ = c.SetTTL(1 + i)
			_ = c.Connect(to.Addr)
			_ = c.Disconnect()
		}
	})
	together.Go(func() {
		for range 200 {
			c.Recv()
			_ = c.Stats()
			_ = c.StopRecv()
		}
		c.Close()
	})
	together.Wait()
}
