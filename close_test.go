package datagram_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// Whoever waits for the queue when the handle is closed is told so.
func TestCloseEndsWaitingCalls(t *testing.T) {
	for _, queued := range []int{2, 600} { // within one block of the queue and beyond
		c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(queued, 1000))
		for range queued {
			mustQueue(t, c, "x")
		}
		results := map[string]chan error{
			"Send": make(chan error, 1), "Flush": make(chan error, 1), "Shutdown": make(chan error, 1),
		}
		go func() { results["Send"] <- c.Send(background, conntest.ToPeer("y")) }()
		go func() { results["Flush"] <- c.Flush(background) }()
		await.NotYet(t, "Send into a full queue", results["Send"])
		await.NotYet(t, "Flush", results["Flush"])
		await.Return(t, "Close", func() { conntest.ExpectError(t, "Close", c.Close(), nil) })
		for _, name := range []string{"Send", "Flush"} {
			conntest.ExpectError(t, name, await.Value(t, name, results[name]), net.ErrClosed)
		}

		c, _, _ = conntest.Stalled(t)
		mustQueue(t, c, "x")
		go func() { results["Shutdown"] <- c.Shutdown(background) }()
		await.NotYet(t, "Shutdown", results["Shutdown"])
		await.Return(t, "Close", func() { conntest.ExpectError(t, "Close", c.Close(), nil) })
		conntest.ExpectError(t, "Shutdown", await.Value(t, "Shutdown", results["Shutdown"]), net.ErrClosed)
	}
}

func TestCloseReturnsWhenThePortIsFree(t *testing.T) {
	for range 50 {
		c := conntest.QuietPort(t)
		local := c.LocalAddr()
		c.Recv()
		conntest.TrySend(t, c, datagram.To(local, []byte("to itself")))
		conntest.ExpectError(t, "Send", c.Send(background, datagram.To(local, []byte("to itself"))), nil)
		await.Return(t, "Close", func() { conntest.ExpectError(t, "Close", c.Close(), nil) })
		again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		conntest.Listen(t, "udp4", local.String())
	}
}

// Close waits for no callback, so each of them may call it; Done does.
func TestCloseInsideCallbacks(t *testing.T) {
	t.Run("done", func(t *testing.T) {
		c := conntest.Loopback(t)
		to := datagram.To(conntest.AddrOf(conntest.Socket(t)), nil)
		closing, proceed := make(chan struct{}), make(chan struct{})
		err := c.SendFunc(background, to, func(error) {
			conntest.ExpectError(t, "Close", c.Close(), nil)
			close(closing)
			<-proceed
		})
		if err != nil {
			t.Fatal(err)
		}
		await.Signal(t, "Close inside done", closing)
		await.NotYet(t, "Done while done runs", c.Done())
		close(proceed)
		await.Closed(t, "Done", c.Done())
	})
	t.Run("the handler of Serve", func(t *testing.T) {
		c := conntest.Loopback(t)
		s := conntest.SocketTo(t, c)
		closing, proceed := make(chan struct{}), make(chan struct{})
		result := conntest.Serve(background, c, func(datagram.Datagram) {
			conntest.ExpectError(t, "Close", c.Close(), nil)
			close(closing)
			<-proceed
		})
		conntest.WriteNumbers(t, s, 0, 1)
		await.Signal(t, "Close inside a handler", closing)
		await.NotYet(t, "Done while a handler runs", c.Done())
		close(proceed)
		await.Closed(t, "Done", c.Done())
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), net.ErrClosed)
	})
	t.Run("the error handler", func(t *testing.T) {
		conns, closing, proceed := make(chan *datagram.Conn, 1), make(chan struct{}), make(chan struct{})
		c := conntest.Loopback(t, datagram.WithErrorHandler(func(error) {
			c := <-conns
			conntest.ExpectError(t, "Close", c.Close(), nil)
			close(closing)
			<-proceed
		}))
		conns <- c
		to := conntest.AddrOf(conntest.Socket(t))
		c.Send(background, datagram.To(to, make([]byte, 65_508)))
		await.Signal(t, "Close inside the error handler", closing)
		await.NotYet(t, "Done while the error handler runs", c.Done())
		close(proceed)
		await.Closed(t, "Done", c.Done())
	})
	t.Run("a reader", func(t *testing.T) {
		c := conntest.Loopback(t)
		s := conntest.SocketTo(t, c)
		reading := await.Go(func() {
			for range c.Recv() {
				c.Close()
			}
		})
		conntest.WriteNumbers(t, s, 0, 1)
		await.Signal(t, "the reader", reading)
		await.Closed(t, "Done", c.Done())
	})
}

// A handler that never returns keeps Done, not Close.
func TestCloseDoesNotWaitForCallbacks(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	var inside sync.WaitGroup
	inside.Add(2)
	proceed := make(chan struct{})
	result := conntest.Serve(background, c, func(datagram.Datagram) {
		inside.Done()
		<-proceed
	})
	conntest.WriteNumbers(t, s, 0, 1)
	err := c.SendFunc(background, datagram.To(conntest.AddrOf(conntest.Socket(t)), nil), func(error) {
		inside.Done()
		<-proceed
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Closed(t, "both callbacks", await.Go(inside.Wait))
	await.Return(t, "Close", func() { c.Close() })
	await.NotYet(t, "Done", c.Done())
	close(proceed)
	await.Closed(t, "Done", c.Done())
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), net.ErrClosed)
}

func TestCloseTwiceAndAtOnce(t *testing.T) {
	c := conntest.Loopback(t)
	c.Recv()
	results := make(chan error, 8)
	for range cap(results) {
		go func() { results <- c.Close() }()
	}
	succeeded := 0
	for range cap(results) {
		if err := await.Value(t, "Close", results); err == nil {
			succeeded++
		} else if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if succeeded != 1 {
		t.Errorf("%d of %d succeeded, want 1", succeeded, cap(results))
	}
	await.Closed(t, "Done", c.Done())

	fresh, err := datagram.New()
	if err != nil {
		t.Fatal(err)
	}
	conntest.ExpectError(t, "Close without a socket", fresh.Close(), nil)
	await.Closed(t, "Done", fresh.Done())
	conntest.ExpectError(t, "Close again", fresh.Close(), net.ErrClosed)
}

// What lies in the channel at Close stays readable; what did not fit is dropped and counted.
func TestCloseKeepsTheChannelReadable(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(3, datagram.Block))
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 30)
	ch := c.Recv()
	await.Until(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	c.Close()
	await.Closed(t, "Done", c.Done())
	before := c.Stats()
	if before.Held != 3 || before.Delivered != 0 || before.CloseDrops != before.Received-3 {
		t.Errorf("%+v, want 3 held, none delivered", before)
	}
	conntest.ExpectNumbers(t, ch, 0, 3)
	await.Closed(t, "the channel", ch)
	after := c.Stats()
	if after.Held != 0 || after.Delivered != 3 || after.CloseDrops != before.CloseDrops {
		t.Errorf("%+v, want 3 delivered", after)
	}
}

// What StopRecv left behind is not readable by anybody after Close, but for the channel.
func TestCloseAfterStopRecv(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(3, datagram.Block))
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 30)
	ch := c.Recv()
	await.Until(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	c.StopRecv()
	c.Close()
	await.Closed(t, "Done", c.Done())
	if c.Recv() != ch {
		t.Error("not the last channel")
	}
	conntest.ExpectNumbers(t, ch, 0, 3)
	await.Closed(t, "the channel", ch)
	if s := c.Stats(); s.Held != 0 || s.Delivered != 3 || s.CloseDrops != s.Received-3 {
		t.Errorf("%+v, want 3 delivered and the rest dropped", s)
	}
}

// Nobody is called who was not accepted, nor after Done.
func TestCloseWhileOthersSend(t *testing.T) {
	start := time.Now()
	for round := 0; round < 20 && time.Since(start) < time.Second; round++ {
		c := conntest.Loopback(t, datagram.WithSendQueue(8, 1000))
		to := datagram.To(conntest.AddrOf(conntest.Socket(t)), []byte("x"))
		var mu sync.Mutex
		accepted, completed, ended := 0, 0, false
		var senders sync.WaitGroup
		started := make(chan struct{}, 4)
		for range 4 {
			senders.Go(func() {
				for i := 0; ; i++ {
					err := c.SendFunc(background, to, func(err error) {
						mu.Lock()
						defer mu.Unlock()
						if completed++; ended {
							t.Error("done after Done")
						}
						if err != nil && !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
					})
					if err != nil {
						conntest.ExpectError(t, "SendFunc", err, net.ErrClosed)
						return
					}
					mu.Lock()
					accepted++
					mu.Unlock()
					if i == 10 {
						started <- struct{}{}
					}
				}
			})
		}
		for range 4 {
			await.Signal(t, "the senders", started)
		}
		c.Close()
		await.Closed(t, "Done", c.Done())
		mu.Lock()
		ended = true
		mu.Unlock()
		await.Closed(t, "the senders", await.Go(senders.Wait))
		mu.Lock()
		if accepted != completed || uint64(accepted) != c.Stats().Accepted {
			t.Errorf("%d accepted, %d completed, %+v", accepted, completed, c.Stats())
		}
		mu.Unlock()
	}
}

// calls are all methods that return an error, with arguments that are valid.
func calls(ctx context.Context) map[string]func(*datagram.Conn) error {
	group, source := netip.MustParseAddr("239.255.7.7"), conntest.Localhost4
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
		"MulticastInterface": func(c *datagram.Conn) error { return conntest.Err(c.MulticastInterface()) },
		"SyscallConn":        func(c *datagram.Conn) error { return conntest.Err(c.SyscallConn()) },
		"File":               func(c *datagram.Conn) error { return conntest.Err(c.File()) },
		"TrySend":            func(c *datagram.Conn) error { return conntest.Err(c.TrySend(datagram.To(to, nil))) },
		"TrySendBuffers": func(c *datagram.Conn) error {
			return conntest.Err(c.TrySendBuffers(datagram.To(to, nil), make([][]byte, 1)))
		},
		"TrySendBatch": func(c *datagram.Conn) error {
			return conntest.Err(c.TrySendBatch([]datagram.Datagram{datagram.To(to, nil)}))
		},
		"TrySendBatch of none": func(c *datagram.Conn) error { return conntest.Err(c.TrySendBatch(nil)) },
	}
	for _, s := range settingCases() {
		m["Set "+s.name] = func(c *datagram.Conn) error { return s.set(c, s.valid[0]) }
		m["get "+s.name] = func(c *datagram.Conn) error { return conntest.Err(s.get(c)) }
	}
	return m
}

// Every call after Close is net.ErrClosed, and none blocks.
func TestEveryCallAfterClose(t *testing.T) {
	peer := conntest.Loopback(t)
	for _, test := range []struct {
		name string
		make func(t *testing.T) *datagram.Conn
	}{
		{"without a socket", func(t *testing.T) *datagram.Conn { return conntest.New(t) }},
		{"bound", func(t *testing.T) *datagram.Conn { return conntest.Loopback(t) }},
		{"connected", func(t *testing.T) *datagram.Conn { return conntest.Dial(t, peer) }},
		{"receiving", func(t *testing.T) *datagram.Conn {
			c := conntest.Loopback(t)
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
				await.Return(t, name, func() { err = call(c) })
				op, ok := err.(*net.OpError)
				if !ok || op.Err != net.ErrClosed && !wrapsSetting(op.Err) {
					t.Errorf("%s: %T, %v; want a *net.OpError of net.ErrClosed", name, err, err)
					continue
				}
				conntest.CheckErrno(t, err, net.ErrClosed)
			}
			if c.LocalAddr().IsValid() || c.RemoteAddr().IsValid() || c.Active() ||
				c.SendQueueCount() != 0 || c.SendQueueSize() != 0 {
				t.Errorf("a closed handle has local %v, remote %v, active %v, queued %d, %d bytes",
					c.LocalAddr(), c.RemoteAddr(), c.Active(), c.SendQueueCount(), c.SendQueueSize())
			}
			if s := c.Stats(); s.Accepted != 0 || s.SendErrors != 0 {
				t.Errorf("refused calls were counted: %+v", s)
			}
			await.Closed(t, "a closed handle", c.Done())
		})
	}
}

// wrapsSetting says whether an error names a setting before its cause.
func wrapsSetting(err error) bool {
	wrapped, ok := err.(interface{ Unwrap() error })
	return ok && wrapped.Unwrap() == net.ErrClosed
}

// A closed handle says that it is closed, whatever it is asked.
func TestInvalidCallsAfterClose(t *testing.T) {
	c := conntest.Loopback(t)
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
		"TrySendBuffers": conntest.Err(c.TrySendBuffers(to, nil)),
		"SetTTL":         c.SetTTL(0),
		"SetReadBuffer":  c.SetReadBuffer(-1),
		"JoinGroup":      c.JoinGroup(netip.Addr{}, nil),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Shutdown waits for a handler that runs, until its context ends. The handle is closed either way.
func TestShutdownWaitsForHandlers(t *testing.T) {
	c := conntest.Loopback(t)
	handling, finish := make(chan struct{}), make(chan struct{})
	go c.Serve(t.Context(), func(datagram.Datagram) {
		close(handling)
		<-finish
	})
	defer close(finish)
	conntest.TrySend(t, conntest.Loopback(t), datagram.To(c.LocalAddr(), nil))
	await.Closed(t, "the datagram", handling)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.Shutdown(ctx) }()
	await.Until(t, "the handle is closed", func() bool { return c.Err() != nil })
	select {
	case err := <-result:
		t.Errorf("Shutdown returned %v while a handler ran", err)
	default:
	}
	cancel()
	if err := await.Value(t, "Shutdown", result); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v", err)
	}
}
