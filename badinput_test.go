package datagram_test

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

func TestNilContext(t *testing.T) {
	var none context.Context
	to := netip.MustParseAddrPort("127.0.0.1:9")
	d := datagram.To(to, []byte("x"))
	never := conntest.NeverDone(t)
	for name, call := range map[string]func(*datagram.Conn) error{
		"Bind":        func(c *datagram.Conn) error { return c.Bind(none, "udp4", "127.0.0.1:0") },
		"Serve":       func(c *datagram.Conn) error { return c.Serve(none, func(datagram.Datagram) {}) },
		"Send":        func(c *datagram.Conn) error { return c.Send(none, d) },
		"SendFunc":    func(c *datagram.Conn) error { return c.SendFunc(none, d, never) },
		"SendBuffers": func(c *datagram.Conn) error { return c.SendBuffers(none, d, nil, never) },
		"Flush":       func(c *datagram.Conn) error { return c.Flush(none) },
		"Shutdown":    func(c *datagram.Conn) error { return c.Shutdown(none) },
		"Listen": func(*datagram.Conn) error {
			return conntest.Err(datagram.Listen(none, "udp4", "127.0.0.1:0"))
		},
		"Dial":    func(*datagram.Conn) error { return conntest.Err(datagram.Dial(none, "udp4", "127.0.0.1:9")) },
		"Resolve": func(*datagram.Conn) error { return conntest.Err(datagram.Resolve(none, "udp4", "127.0.0.1:9")) },
	} {
		for _, c := range []*datagram.Conn{conntest.New(t), conntest.Loopback(t)} {
			before := conntest.StateOf(c)
			err := call(c)
			conntest.CheckErrno(t, err, syscall.EINVAL)
			if t.Failed() || !strings.Contains(err.Error(), "nil context") {
				t.Fatalf("%s without a context: %v", name, err)
			}
			conntest.CheckUnchanged(t, c, before)
		}
	}
}

func TestNilArguments(t *testing.T) {
	c := conntest.Loopback(t)
	before := conntest.StateOf(c)
	conntest.CheckOpError(t, c.Serve(t.Context(), nil), conntest.OpError{
		Op: "read", Network: "udp4", Source: before.Local, Is: syscall.EINVAL, Text: "nil handler",
	})
	conntest.CheckUnchanged(t, c, before)
	_, err := datagram.Open(nil)
	conntest.CheckOpError(t, err, conntest.OpError{Op: "open", Network: "udp", Is: syscall.EINVAL, Text: "nil file"})
	if ifi, err := datagram.InterfaceByAddr(netip.Addr{}); ifi != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("the interface of no address is %v, %v", ifi, err)
	}
}

func TestUnknownNetworks(t *testing.T) {
	c := conntest.New(t)
	before := conntest.StateOf(c)
	for _, network := range []string{"", "udp5", "UDP", "tcp", "ip", "ip4:icmp", "unixgram", "udp4 "} {
		for name, err := range map[string]error{
			"Listen":  conntest.Err(datagram.Listen(t.Context(), network, "127.0.0.1:0")),
			"Dial":    conntest.Err(datagram.Dial(t.Context(), network, "127.0.0.1:9")),
			"Resolve": conntest.Err(datagram.Resolve(t.Context(), network, "127.0.0.1:9")),
			"Bind":    c.Bind(t.Context(), network, "127.0.0.1:0"),
		} {
			var unknown net.UnknownNetworkError
			if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.As(err, &unknown) || string(unknown) != network {
				t.Errorf("%s %q: %T, %v; want a *net.OpError of net.UnknownNetworkError", name, network, err, err)
			}
		}
		conntest.CheckUnchanged(t, c, before)
	}
	// A handle that is bound does not look at what it is asked for wrongly.
	bound := conntest.Loopback(t)
	before = conntest.StateOf(bound)
	conntest.CheckErrno(t, bound.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EINVAL)
	conntest.CheckUnchanged(t, bound, before)
}

func TestMalformedAddresses(t *testing.T) {
	c := conntest.New(t)
	before := conntest.StateOf(c)
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
			"Listen":  conntest.Err(datagram.Listen(t.Context(), test.network, test.address)),
			"Dial":    conntest.Err(datagram.Dial(t.Context(), test.network, test.address)),
			"Resolve": conntest.Err(datagram.Resolve(t.Context(), test.network, test.address)),
			"Bind":    c.Bind(t.Context(), test.network, test.address),
		} {
			op, ok := err.(*net.OpError)
			if !ok || op.Net != test.network {
				t.Errorf("%s %s %q: %T, %v; want a *net.OpError of the network", name, test.network, test.address, err, err)
			}
		}
		conntest.CheckUnchanged(t, c, before)
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
		receiver := conntest.Loopback(t, datagram.WithReadBuffer(4<<20))
		c := conntest.Loopback(t)
		payload := make([]byte, test.size)
		if test.size > 0 {
			payload[0], payload[test.size-1] = 1, 2
		}
		d := datagram.To(receiver.LocalAddr(), payload)
		half := test.size / 2
		completions := make(chan error, 1)
		done := func(err error) { completions <- err }
		for name, send := range map[string]func() error{
			"TrySend":      func() error { return conntest.Err(c.TrySend(d)) },
			"TrySendBatch": func() error { return conntest.Err(c.TrySendBatch([]datagram.Datagram{d})) },
			"TrySendBuffers": func() error {
				return conntest.Err(c.TrySendBuffers(datagram.To(d.Addr, payload[:half]), net.Buffers{nil, payload[half:], {}}))
			},
			"SendFunc": func() error {
				if err := c.SendFunc(t.Context(), d, done); err != nil {
					t.Fatal(err)
				}
				return await.Value(t, "done", completions)
			},
			"SendBuffers": func() error {
				bufs := net.Buffers{{}, payload[:half], nil, payload[half:]}
				if err := c.SendBuffers(t.Context(), datagram.To(d.Addr, nil), bufs, done); err != nil {
					t.Fatal(err)
				}
				return await.Value(t, "done", completions)
			},
		} {
			err := send()
			if test.want != nil {
				conntest.CheckOpError(t, err, conntest.OpError{
					Op: "write", Network: "udp4", Source: c.LocalAddr(), Addr: d.Addr, Is: test.want,
				})
			} else if err != nil {
				t.Errorf("%s of %d bytes: %v", name, test.size, err)
			} else {
				got := await.Value(t, name, receiver.Recv())
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
		conntest.TrySend(t, c, datagram.To(receiver.LocalAddr(), []byte("still here")))
		conntest.Expect(t, receiver, "still here")
	}
}

func TestPiecesOfNothing(t *testing.T) {
	c := conntest.Loopback(t)
	to := c.LocalAddr()
	never := conntest.NeverDone(t)
	for _, none := range []net.Buffers{nil, {}} {
		before := conntest.StateOf(c)
		want := conntest.OpError{Op: "write", Network: "udp4", Source: to, Addr: to, Is: syscall.EINVAL}
		conntest.CheckOpError(t, c.SendBuffers(t.Context(), datagram.To(to, nil), none, never), want)
		_, err := c.TrySendBuffers(datagram.To(to, nil), none)
		conntest.CheckOpError(t, err, want)
		conntest.CheckUnchanged(t, c, before)
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
			return conntest.Err(c.TrySendBuffers(datagram.To(to, nil), net.Buffers{nil, {}}))
		},
		"Send of nil":     func() error { return c.Send(t.Context(), datagram.To(to, nil)) },
		"SendFunc of nil": func() error { return c.SendFunc(t.Context(), datagram.To(to, nil), nil) },
		"TryQueue of nil": func() error { return c.TryQueue(datagram.To(to, nil)) },
		"TrySend of nil":  func() error { return conntest.Err(c.TrySend(datagram.To(to, nil))) },
		"TrySend of none": func() error { return conntest.Err(c.TrySend(datagram.To(to, []byte{}))) },
	} {
		if err := send(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := conntest.Expect(t, c, ""); d.Addr != to || d.Partial {
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
	c := conntest.Loopback(t)
	for _, test := range []struct {
		name, to string
		want     error
	}{
		{"broadcast", "127.255.255.255:9", syscall.EACCES},
		{"IPv6 on IPv4", "[::1]:9", syscall.EAFNOSUPPORT},
	} {
		to := netip.MustParseAddrPort(test.to)
		want := conntest.OpError{Op: "write", Network: "udp4", Source: c.LocalAddr(), Addr: to, Is: test.want}
		_, err := c.TrySend(datagram.To(to, []byte("x")))
		conntest.CheckOpError(t, err, want)
		completed := make(chan error, 1)
		err = c.SendFunc(t.Context(), datagram.To(to, []byte("x")), func(err error) { completed <- err })
		if err != nil {
			t.Errorf("%s: Send did not leave it to done: %v", test.name, err)
			continue
		}
		conntest.CheckOpError(t, await.Value(t, "done", completed), want)
	}
}

// Mapped addresses are taken for what they mean.
func TestMappedAddresses(t *testing.T) {
	testenv.NeedIPv6(t)
	server := conntest.Loopback(t)
	mapped := netip.AddrPortFrom(netip.AddrFrom16(conntest.Localhost4.As16()), server.LocalAddr().Port())
	first := conntest.New(t)
	if err := first.Connect(mapped); err != nil {
		t.Fatal(err)
	}
	conntest.CheckOpError(t, first.Connect(mapped), conntest.OpError{ // the socket is one of IPv4
		Op: "connect", Network: "udp4", Source: first.LocalAddr(), Addr: server.LocalAddr(), Is: syscall.EISCONN,
	})
	for _, c := range []*datagram.Conn{conntest.New(t), conntest.Listen(t, "udp", ":0"), conntest.Loopback(t)} {
		conntest.TrySend(t, c, datagram.To(mapped, []byte("mapped")))
		if d := conntest.Expect(t, server, "mapped"); d.Addr.Addr() != conntest.Localhost4 {
			t.Errorf("it came from %v", d.Addr)
		}
		if err := c.Connect(mapped); err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr() != server.LocalAddr() || c.LocalAddr().Addr().Is4In6() {
			t.Errorf("connected %v to %v", c.LocalAddr(), c.RemoteAddr())
		}
		conntest.TrySend(t, server, datagram.To(netip.AddrPortFrom(netip.AddrFrom16(conntest.Localhost4.As16()), c.LocalAddr().Port()), []byte("back")))
		if d := conntest.Expect(t, c, "back"); d.Addr != server.LocalAddr() {
			t.Errorf("it came from %v", d.Addr)
		}
	}
}

// What no header can state is refused at the call.
func TestImpossibleMetadata(t *testing.T) {
	c := conntest.Loopback(t)
	for _, meta := range []datagram.Metadata{{HopLimit: -1}, {HopLimit: 256}, {IfIndex: -1}, {IfIndex: math.MaxInt}} {
		d := datagram.To(c.LocalAddr(), nil)
		d.Meta = meta
		for name, send := range map[string]func() error{
			"Send":         func() error { return c.Send(t.Context(), d) },
			"TryQueue":     func() error { return c.TryQueue(d) },
			"TrySend":      func() error { return conntest.Err(c.TrySend(d)) },
			"TrySendBatch": func() error { return conntest.Err(c.TrySendBatch([]datagram.Datagram{d})) },
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

// An error says which argument was wrong, since EINVAL alone could be any of them.
func TestErrorsNameArguments(t *testing.T) {
	to := netip.MustParseAddrPort("127.0.0.1:9")
	group := netip.MustParseAddr("233.252.0.1")
	x := []byte("x")
	send := func(d datagram.Datagram) func(*datagram.Conn) error {
		return func(c *datagram.Conn) error { return c.Send(t.Context(), d) }
	}
	for want, call := range map[string]func(*datagram.Conn) error{
		"port 0":                          send(datagram.To(netip.MustParseAddrPort("127.0.0.1:0"), x)),
		"hop limit: 256":                  send(datagram.Datagram{Addr: to, Meta: datagram.Metadata{HopLimit: 256}}),
		"interface index: -1":             send(datagram.Datagram{Addr: to, Meta: datagram.Metadata{IfIndex: -1}}),
		"no payload and no buffers":       func(c *datagram.Conn) error { return c.SendBuffers(t.Context(), datagram.To(to, nil), nil, nil) },
		"no peer":                         func(c *datagram.Conn) error { return c.Connect(netip.AddrPort{}) },
		"already bound":                   func(c *datagram.Conn) error { return c.Bind(t.Context(), "udp4", "127.0.0.1:0") },
		"not a multicast address":         func(c *datagram.Conn) error { return c.JoinGroup(to.Addr(), nil) },
		"source of another family":        func(c *datagram.Conn) error { return c.JoinSourceGroup(group, netip.IPv6Loopback(), nil) },
		"interface without a valid index": func(c *datagram.Conn) error { return c.LeaveGroup(group, &net.Interface{}) },
		"not an address for this socket": func(c *datagram.Conn) error {
			return conntest.Err(c.PacketConn().WriteTo(x, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: -1}))
		},
	} {
		c := conntest.Loopback(t)
		before := conntest.StateOf(c)
		err := call(c)
		conntest.CheckErrno(t, err, syscall.EINVAL)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q in it", err, want)
		}
		conntest.CheckUnchanged(t, c, before)
		c.Close()
		conntest.CheckErrno(t, call(c), net.ErrClosed)
	}
}

// Only the first way to receive works, and the errors of the others say why.
func TestAlreadyReceiving(t *testing.T) {
	c := conntest.Loopback(t)
	c.Recv()
	for name, err := range map[string]error{
		"Serve": c.Serve(t.Context(), func(datagram.Datagram) {}),
		"Read":  conntest.Err(c.PacketConn().Read(make([]byte, 1))),
	} {
		conntest.CheckErrno(t, err, syscall.EALREADY)
		if err == nil || !strings.Contains(err.Error(), ": already receiving: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
