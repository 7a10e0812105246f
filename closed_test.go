package datagram_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"example.com/datagram"
)

// calls are all methods that return an error, with arguments that are valid.
func calls(ctx context.Context) map[string]func(*datagram.Conn) error {
	group, source := netip.MustParseAddr("239.255.7.7"), loopback4
	to := netip.MustParseAddrPort("127.0.0.1:9")
	m := map[string]func(*datagram.Conn) error{
		"Bind":         func(c *datagram.Conn) error { return c.Bind(ctx, "udp4", "127.0.0.1:0") },
		"Connect":      func(c *datagram.Conn) error { return c.Connect(to) },
		"Disconnect":   (*datagram.Conn).Disconnect,
		"SetBroadcast": func(c *datagram.Conn) error { return c.SetBroadcast(true) },
		"Close":        (*datagram.Conn).Close,
		"Shutdown":     func(c *datagram.Conn) error { return c.Shutdown(ctx) },
		"StopRecv":     (*datagram.Conn).StopRecv,
		"Err":          (*datagram.Conn).Err,
		"Serve":        func(c *datagram.Conn) error { return c.Serve(ctx, func(datagram.Datagram) {}) },
		"Recv": func(c *datagram.Conn) error {
			if _, open := <-c.Recv(); open {
				return nil
			}
			return c.Err()
		},
		"Flush":            func(c *datagram.Conn) error { return c.Flush(ctx) },
		"Send":             func(c *datagram.Conn) error { return c.Send(ctx, datagram.To(to, nil)) },
		"SendFunc":         func(c *datagram.Conn) error { return c.SendFunc(ctx, datagram.To(to, nil), nil) },
		"SendBuffers":      func(c *datagram.Conn) error { return c.SendBuffers(ctx, datagram.To(to, nil), make([][]byte, 1), nil) },
		"TryQueue":         func(c *datagram.Conn) error { return c.TryQueue(datagram.To(to, nil)) },
		"JoinGroup":        func(c *datagram.Conn) error { return c.JoinGroup(group, nil) },
		"LeaveGroup":       func(c *datagram.Conn) error { return c.LeaveGroup(group, nil) },
		"JoinSourceGroup":  func(c *datagram.Conn) error { return c.JoinSourceGroup(group, source, nil) },
		"LeaveSourceGroup": func(c *datagram.Conn) error { return c.LeaveSourceGroup(group, source, nil) },
		"SetMulticastInterface": func(c *datagram.Conn) error {
			return c.SetMulticastInterface(nil)
		},
		"MulticastInterface": func(c *datagram.Conn) error { return second(c.MulticastInterface()) },
		"SyscallConn":        func(c *datagram.Conn) error { return second(c.SyscallConn()) },
		"File":               func(c *datagram.Conn) error { return second(c.File()) },
		"TrySend":            func(c *datagram.Conn) error { return second(c.TrySend(datagram.To(to, nil))) },
		"TrySendBuffers": func(c *datagram.Conn) error {
			return second(c.TrySendBuffers(datagram.To(to, nil), make([][]byte, 1)))
		},
		"TrySendBatch": func(c *datagram.Conn) error {
			return second(c.TrySendBatch([]datagram.Datagram{datagram.To(to, nil)}))
		},
		"TrySendBatch of none": func(c *datagram.Conn) error { return second(c.TrySendBatch(nil)) },
	}
	for _, s := range settingCases() {
		m["Set "+s.name] = func(c *datagram.Conn) error { return s.set(c, s.valid[0]) }
		m["get "+s.name] = func(c *datagram.Conn) error { return second(s.get(c)) }
	}
	return m
}

func second[T any](_ T, err error) error { return err }

// Every call after Close is net.ErrClosed, and none blocks.
func TestEveryCallAfterClose(t *testing.T) {
	peer := boundConn(t, "udp4", "127.0.0.1:0")
	for _, test := range []struct {
		name string
		make func(t *testing.T) *datagram.Conn
	}{
		{"without a socket", func(t *testing.T) *datagram.Conn { return lazyConn(t) }},
		{"bound", func(t *testing.T) *datagram.Conn { return boundConn(t, "udp4", "127.0.0.1:0") }},
		{"connected", func(t *testing.T) *datagram.Conn { return dialedConn(t, peer) }},
		{"receiving", func(t *testing.T) *datagram.Conn {
			c := boundConn(t, "udp4", "127.0.0.1:0")
			c.Recv()
			return c
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := test.make(t)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			for name, call := range calls(t.Context()) {
				var err error
				inTime(t, name, func() { err = call(c) })
				op, ok := err.(*net.OpError)
				if !ok || op.Err != net.ErrClosed && !wrapsSetting(op.Err) {
					t.Errorf("%s: %T, %v; want a *net.OpError of net.ErrClosed", name, err, err)
					continue
				}
				checkErrno(t, err, net.ErrClosed)
			}
			if c.LocalAddr().IsValid() || c.RemoteAddr().IsValid() || c.Active() ||
				c.SendQueueCount() != 0 || c.SendQueueSize() != 0 {
				t.Errorf("a closed handle has local %v, remote %v, active %v, queued %d, %d bytes",
					c.LocalAddr(), c.RemoteAddr(), c.Active(), c.SendQueueCount(), c.SendQueueSize())
			}
			if s := c.Stats(); s.Accepted != 0 || s.SendErrors != 0 {
				t.Errorf("refused calls were counted: %+v", s)
			}
			awaitClosed(t, c.Done(), "a closed handle")
		})
	}
}

// wrapsSetting says whether an error names a setting before its cause.
func wrapsSetting(err error) bool {
	wrapped, ok := err.(interface{ Unwrap() error })
	return ok && wrapped.Unwrap() == net.ErrClosed
}

// The port is free when Close returns.
func TestCloseFreesThePort(t *testing.T) {
	for range 50 {
		c := boundConn(t, "udp4", "127.0.0.1:0")
		local := c.LocalAddr()
		c.Recv()
		mustSend(t, c, datagram.To(local, []byte("x")))
		if err := c.Send(t.Context(), datagram.To(local, []byte("y"))); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		boundConn(t, "udp4", local.String())
	}
}

// A closed handle says that it is closed, whatever it is asked.
func TestInvalidCallsAfterClose(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	c.Close()
	to := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), nil)
	var none context.Context
	for name, err := range map[string]error{
		"Bind":           c.Bind(none, "udp4", ":0"),
		"Shutdown":       c.Shutdown(none),
		"Serve":          c.Serve(none, nil),
		"Flush":          c.Flush(none),
		"Send":           c.Send(none, to),
		"SendBuffers":    c.SendBuffers(t.Context(), to, nil, nil),
		"TrySendBuffers": second(c.TrySendBuffers(to, nil)),
		"SetTTL":         c.SetTTL(0),
		"SetReadBuffer":  c.SetReadBuffer(-1),
		"JoinGroup":      c.JoinGroup(netip.Addr{}, nil),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
