package datagram_test

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
)

func TestNilContext(t *testing.T) {
	var none context.Context
	to := netip.MustParseAddrPort("127.0.0.1:9")
	d := datagram.To(to, []byte("x"))
	never := neverDone(t)
	for name, call := range map[string]func(*datagram.Conn) error{
		"Bind":        func(c *datagram.Conn) error { return c.Bind(none, "udp4", "127.0.0.1:0") },
		"Serve":       func(c *datagram.Conn) error { return c.Serve(none, func(datagram.Datagram) {}) },
		"Send":        func(c *datagram.Conn) error { return c.Send(none, d) },
		"SendFunc":    func(c *datagram.Conn) error { return c.SendFunc(none, d, never) },
		"SendBuffers": func(c *datagram.Conn) error { return c.SendBuffers(none, d, nil, never) },
		"Flush":       func(c *datagram.Conn) error { return c.Flush(none) },
		"Shutdown":    func(c *datagram.Conn) error { return c.Shutdown(none) },
		"Listen": func(*datagram.Conn) error {
			return second(datagram.Listen(none, "udp4", "127.0.0.1:0"))
		},
		"Dial":    func(*datagram.Conn) error { return second(datagram.Dial(none, "udp4", "127.0.0.1:9")) },
		"Resolve": func(*datagram.Conn) error { return second(datagram.Resolve(none, "udp4", "127.0.0.1:9")) },
	} {
		for _, c := range []*datagram.Conn{lazyConn(t), boundConn(t, "udp4", "127.0.0.1:0")} {
			before := stateOf(c)
			err := call(c)
			checkErrno(t, err, syscall.EINVAL)
			if t.Failed() {
				t.Fatalf("%s without a context", name)
			}
			checkUnchanged(t, c, before)
		}
	}
}

func TestNilArguments(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	before := stateOf(c)
	checkErrno(t, c.Serve(t.Context(), nil), syscall.EINVAL)
	checkUnchanged(t, c, before)
	_, err := datagram.Open(nil)
	checkOpError(t, err, opShape{op: "open", network: "udp", is: syscall.EINVAL})
	if ifi, err := datagram.InterfaceByAddr(netip.Addr{}); ifi != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("the interface of no address is %v, %v", ifi, err)
	}
}

func TestUnknownNetworks(t *testing.T) {
	c := lazyConn(t)
	before := stateOf(c)
	for _, network := range []string{"", "udp5", "UDP", "tcp", "ip", "ip4:icmp", "unixgram", "udp4 "} {
		for name, err := range map[string]error{
			"Listen":  second(datagram.Listen(t.Context(), network, "127.0.0.1:0")),
			"Dial":    second(datagram.Dial(t.Context(), network, "127.0.0.1:9")),
			"Resolve": second(datagram.Resolve(t.Context(), network, "127.0.0.1:9")),
			"Bind":    c.Bind(t.Context(), network, "127.0.0.1:0"),
		} {
			var unknown net.UnknownNetworkError
			if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.As(err, &unknown) || string(unknown) != network {
				t.Errorf("%s %q: %T, %v; want a *net.OpError of net.UnknownNetworkError", name, network, err, err)
			}
		}
		checkUnchanged(t, c, before)
	}
	// A handle that is bound does not look at what it is asked for wrongly.
	bound := boundConn(t, "udp4", "127.0.0.1:0")
	before = stateOf(bound)
	checkErrno(t, bound.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EINVAL)
	checkUnchanged(t, bound, before)
}

func TestMalformedAddresses(t *testing.T) {
	c := lazyConn(t)
	before := stateOf(c)
	for _, test := range []struct{ network, address string }{
		{"udp", "127.0.0.1"},
		{"udp", "127.0.0.1:65536"},
		{"udp", "127.0.0.1:-1"},
		{"udp", "[::1"},
		{"udp", "[::1]"},
		{"udp", "::1:9"},
		{"udp", "[127.0.0.1:9"},
		{"udp", "127.0.0.1:9:9"},
		{"udp", "127.0.0.1:no such service"},
		{"udp4", "[::1]:9"},
		{"udp6", "127.0.0.1:9"}, // of the other family
	} {
		for name, err := range map[string]error{
			"Listen":  second(datagram.Listen(t.Context(), test.network, test.address)),
			"Dial":    second(datagram.Dial(t.Context(), test.network, test.address)),
			"Resolve": second(datagram.Resolve(t.Context(), test.network, test.address)),
			"Bind":    c.Bind(t.Context(), test.network, test.address),
		} {
			op, ok := err.(*net.OpError)
			if !ok || op.Net != test.network {
				t.Errorf("%s %s %q: %T, %v; want a *net.OpError of the network", name, test.network, test.address, err, err)
			}
		}
		checkUnchanged(t, c, before)
	}
}

// 65,507 bytes are the most that IPv4 carries. What is longer fails where the
// kernel's answer is reported, and harms nothing beside it.
func TestPayloadSizes(t *testing.T) {
	type outcome struct {
		size int
		want error
	}
	for _, test := range []outcome{
		{0, nil},
		{1, nil},
		{65507, nil},
		{65508, syscall.EMSGSIZE},
		{65536, syscall.EMSGSIZE},
		{1 << 20, syscall.EMSGSIZE},
	} {
		receiver := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithReadBuffer(4<<20))
		c := boundConn(t, "udp4", "127.0.0.1:0")
		payload := make([]byte, test.size)
		if test.size > 0 {
			payload[0], payload[test.size-1] = 1, 2
		}
		d := datagram.To(receiver.LocalAddr(), payload)
		half := test.size / 2
		completions := make(chan error, 1)
		done := func(err error) { completions <- err }
		for name, send := range map[string]func() error{
			"TrySend":      func() error { return second(c.TrySend(d)) },
			"TrySendBatch": func() error { return second(c.TrySendBatch([]datagram.Datagram{d})) },
			"TrySendBuffers": func() error {
				return second(c.TrySendBuffers(datagram.To(d.Addr, payload[:half]), net.Buffers{nil, payload[half:], {}}))
			},
			"SendFunc": func() error {
				if err := c.SendFunc(t.Context(), d, done); err != nil {
					t.Fatal(err)
				}
				return awaitValue(t, completions, "done")
			},
			"SendBuffers": func() error {
				bufs := net.Buffers{{}, payload[:half], nil, payload[half:]}
				if err := c.SendBuffers(t.Context(), datagram.To(d.Addr, nil), bufs, done); err != nil {
					t.Fatal(err)
				}
				return awaitValue(t, completions, "done")
			},
		} {
			err := send()
			if test.want != nil {
				checkOpError(t, err, opShape{
					op: "write", network: "udp4", source: c.LocalAddr(), addr: d.Addr, is: test.want,
				})
			} else if err != nil {
				t.Errorf("%s of %d bytes: %v", name, test.size, err)
			} else {
				got := awaitValue(t, receiver.Recv(), name)
				if string(got.Payload) != string(payload) || got.Partial || got.Addr != c.LocalAddr() {
					t.Errorf("%s of %d bytes: %d arrived from %v", name, test.size, len(got.Payload), got.Addr)
				}
			}
			if c.SendQueueCount() != 0 || c.SendQueueSize() != 0 || c.Active() && len(completions) > 0 {
				t.Errorf("%s of %d bytes: %d datagrams of %d bytes stay queued", name, test.size, c.SendQueueCount(), c.SendQueueSize())
			}
		}
		s := c.Stats()
		if test.want != nil && (s.SendErrors != 5 || s.Sent != 0) || test.want == nil && (s.Sent != 5 || s.SendErrors != 0) ||
			s.Accepted != 5 {
			t.Errorf("%d bytes: accepted %d, sent %d, failed %d", test.size, s.Accepted, s.Sent, s.SendErrors)
		}
		// The handle works on.
		mustSend(t, c, datagram.To(receiver.LocalAddr(), []byte("still here")))
		awaitPayload(t, receiver, "still here")
	}
}

func TestPiecesOfNothing(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	to := c.LocalAddr()
	never := neverDone(t)
	for _, none := range []net.Buffers{nil, {}} {
		before := stateOf(c)
		want := opShape{op: "write", network: "udp4", source: to, addr: to, is: syscall.EINVAL}
		checkOpError(t, c.SendBuffers(t.Context(), datagram.To(to, nil), none, never), want)
		_, err := c.TrySendBuffers(datagram.To(to, nil), none)
		checkOpError(t, err, want)
		checkUnchanged(t, c, before)
	}
	// Empty pieces are pieces, and a nil payload alone is an empty datagram.
	for name, send := range map[string]func() error{
		"SendBuffers of empty ones": func() error {
			return c.SendBuffers(t.Context(), datagram.To(to, nil), net.Buffers{nil, {}}, nil)
		},
		"SendBuffers of an empty payload": func() error {
			return c.SendBuffers(t.Context(), datagram.To(to, []byte{}), nil, nil)
		},
		"TrySendBuffers of empty ones": func() error {
			return second(c.TrySendBuffers(datagram.To(to, nil), net.Buffers{nil, {}}))
		},
		"Send of nil":     func() error { return c.Send(t.Context(), datagram.To(to, nil)) },
		"SendFunc of nil": func() error { return c.SendFunc(t.Context(), datagram.To(to, nil), nil) },
		"TryQueue of nil": func() error { return c.TryQueue(datagram.To(to, nil)) },
		"TrySend of nil":  func() error { return second(c.TrySend(datagram.To(to, nil))) },
		"TrySend of none": func() error { return second(c.TrySend(datagram.To(to, []byte{}))) },
	} {
		if err := send(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := awaitPayload(t, c, ""); d.Addr != to || d.Partial {
			t.Errorf("%s: an empty datagram from %v, partial %v", name, d.Addr, d.Partial)
		}
		if err := c.Flush(t.Context()); err != nil { // what has arrived may still be queued
			t.Error(err)
		}
	}
	if n, err := c.TrySendBatch(nil); n != 0 || err != nil {
		t.Errorf("TrySendBatch of none: %d, %v", n, err)
	}
	if n, err := c.TrySendBatch([]datagram.Datagram{}); n != 0 || err != nil {
		t.Errorf("TrySendBatch of none: %d, %v", n, err)
	}
}

func TestAddressesThatReachNothing(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	for _, test := range []struct {
		name, to string
		want     error
	}{
		{"port 0", "127.0.0.1:0", syscall.EINVAL},
		{"IPv6 on IPv4", "[::1]:9", syscall.EAFNOSUPPORT},
	} {
		to := netip.MustParseAddrPort(test.to)
		want := opShape{op: "write", network: "udp4", source: c.LocalAddr(), addr: to, is: test.want}
		_, err := c.TrySend(datagram.To(to, []byte("x")))
		checkOpError(t, err, want)
		completed := make(chan error, 1)
		err = c.SendFunc(t.Context(), datagram.To(to, []byte("x")), func(err error) { completed <- err })
		if err != nil {
			t.Errorf("%s: Send did not leave it to done: %v", test.name, err)
			continue
		}
		checkOpError(t, awaitValue(t, completed, "done"), want)
	}
}

// Mapped addresses are taken for what they mean.
func TestMappedAddresses(t *testing.T) {
	needIPv6(t)
	server := boundConn(t, "udp4", "127.0.0.1:0")
	mapped := netip.AddrPortFrom(netip.AddrFrom16(loopback4.As16()), server.LocalAddr().Port())
	first := lazyConn(t)
	if err := first.Connect(mapped); err != nil {
		t.Fatal(err)
	}
	checkOpError(t, first.Connect(mapped), opShape{ // the socket is one of IPv4
		op: "connect", network: "udp4", source: first.LocalAddr(), addr: server.LocalAddr(), is: syscall.EISCONN,
	})
	for _, c := range []*datagram.Conn{lazyConn(t), boundConn(t, "udp", ":0"), boundConn(t, "udp4", "127.0.0.1:0")} {
		mustSend(t, c, datagram.To(mapped, []byte("mapped")))
		if d := awaitPayload(t, server, "mapped"); d.Addr.Addr() != loopback4 {
			t.Errorf("it came from %v", d.Addr)
		}
		if err := c.Connect(mapped); err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr() != server.LocalAddr() || c.LocalAddr().Addr().Is4In6() {
			t.Errorf("connected %v to %v", c.LocalAddr(), c.RemoteAddr())
		}
		mustSend(t, server, datagram.To(netip.AddrPortFrom(netip.AddrFrom16(loopback4.As16()), c.LocalAddr().Port()), []byte("back")))
		if d := awaitPayload(t, c, "back"); d.Addr != server.LocalAddr() {
			t.Errorf("it came from %v", d.Addr)
		}
	}
}

// What no header can state is refused at the call.
func TestImpossibleMetadata(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	for _, meta := range []datagram.Metadata{{HopLimit: -1}, {HopLimit: 256}, {IfIndex: -1}, {IfIndex: math.MaxInt}} {
		d := datagram.To(c.LocalAddr(), nil)
		d.Meta = meta
		for name, send := range map[string]func() error{
			"Send":         func() error { return c.Send(t.Context(), d) },
			"TryQueue":     func() error { return c.TryQueue(d) },
			"TrySend":      func() error { return second(c.TrySend(d)) },
			"TrySendBatch": func() error { return second(c.TrySendBatch([]datagram.Datagram{d})) },
		} {
			if meta.IfIndex > 0 && math.MaxInt == math.MaxInt32 {
				continue // it may be an interface
			}
			if err := send(); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%s with %+v: %v", name, meta, err)
			}
		}
	}
	if s := c.Stats(); s.Accepted != 0 {
		t.Errorf("%d were accepted", s.Accepted)
	}
}

// An interface without an index is none.
func TestInterfaceWithoutIndex(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	checkErrno(t, c.SetMulticastInterface(&net.Interface{}), syscall.EINVAL)
	checkErrno(t, c.JoinGroup(netip.MustParseAddr("239.255.7.7"), &net.Interface{}), syscall.EINVAL)
}
