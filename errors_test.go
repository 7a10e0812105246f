package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func TestSentinelErrors(t *testing.T) {
	full, wouldBlock := datagram.ErrQueueFull, datagram.ErrWouldBlock
	if !errors.Is(wouldBlock, syscall.EAGAIN) { //nolint:staticcheck // it is the sentinel that has an Is method
		t.Error("ErrWouldBlock does not match EAGAIN")
	}
	if errors.Is(full, syscall.EAGAIN) || errors.Is(wouldBlock, full) || errors.Is(wouldBlock, syscall.EINVAL) { //nolint:staticcheck // as above
		t.Error("the sentinels match what they are not")
	}
	var timeout net.Error
	if !errors.As(datagram.ErrWouldBlock, &timeout) || !timeout.Timeout() {
		t.Error("ErrWouldBlock is not a net.Error that passes with time")
	}
	if wrapped := fmt.Errorf("wrapped: %w", datagram.ErrWouldBlock); !errors.Is(wrapped, datagram.ErrWouldBlock) {
		t.Error("ErrWouldBlock does not match itself")
	}
}

func TestRetryErrorsComeBare(t *testing.T) {
	c := conntest.Loopback(t)
	if err := c.Send(conntest.EndedContext(t), datagram.To(c.LocalAddr(), nil)); err != context.Canceled {
		t.Errorf("Send: %T, %v; want the bare error of the context", err, err)
	}
	if err := c.Serve(conntest.EndedContext(t), func(datagram.Datagram) {}); err != context.Canceled {
		t.Errorf("Serve: %T, %v; want the bare error of the context", err, err)
	}
	if err := c.Flush(conntest.EndedContext(t)); err != context.Canceled {
		t.Errorf("Flush: %T, %v; want the bare error of the context", err, err)
	}
	// The context comes before anything else that is wrong.
	connected := conntest.Dial(t, c)
	if err := connected.SendFunc(conntest.EndedContext(t), datagram.To(c.LocalAddr(), nil), nil); err != context.Canceled {
		t.Errorf("SendFunc: %v", err)
	}
	if err := connected.SendBuffers(conntest.EndedContext(t), datagram.To(c.LocalAddr(), []byte("x")), nil, nil); err != context.Canceled {
		t.Errorf("SendBuffers: %v", err)
	}
	if err := connected.Shutdown(conntest.EndedContext(t)); err != context.Canceled {
		t.Errorf("Shutdown: %v", err)
	}
	await.Closed(t, "the handle of the Shutdown that had no time", connected.Done())
}

func TestRetryErrorsDoNotAllocate(t *testing.T) {
	ctx := conntest.EndedContext(t)
	c := conntest.Loopback(t)
	d := datagram.To(c.LocalAddr(), []byte("x"))
	allocs := testing.AllocsPerRun(100, func() {
		if err := c.Send(ctx, d); err != context.Canceled {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("a refused Send allocates %v times", allocs)
	}
}

// What the kernel says of a datagram names where it went and where from.
func TestSendErrorsNameTheAddresses(t *testing.T) {
	failed := make(chan error, 1)
	c := conntest.Loopback(t, datagram.WithErrorHandler(func(err error) { failed <- err }))
	to := netip.MustParseAddrPort("127.0.0.1:9")
	tooLong := make([]byte, 65508)
	want := conntest.OpError{Op: "write", Network: "udp4", Source: c.LocalAddr(), Addr: to, Is: syscall.EMSGSIZE}

	n, err := c.TrySend(datagram.To(to, tooLong))
	conntest.CheckOpError(t, err, want)
	if n != 0 {
		t.Errorf("TrySend sent %d bytes of what it refused", n)
	}
	if err := c.Send(t.Context(), datagram.To(to, tooLong)); err != nil {
		t.Fatal(err)
	}
	conntest.CheckOpError(t, await.Value(t, "the error handler", failed), want)
	err = c.SendFunc(t.Context(), datagram.To(to, tooLong), func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	conntest.CheckOpError(t, await.Value(t, "done", failed), want)

	_, err = c.TrySend(datagram.To(netip.MustParseAddrPort("127.0.0.1:0"), nil))
	conntest.CheckErrno(t, err, syscall.EINVAL)

	connected := conntest.New(t)
	if err := connected.Connect(to); err != nil {
		t.Fatal(err)
	}
	_, err = connected.TrySend(datagram.Datagram{Payload: tooLong})
	conntest.CheckOpError(t, err, conntest.OpError{Op: "write", Network: "udp4", Source: connected.LocalAddr(), Addr: to, Is: syscall.EMSGSIZE})
}

// Errors say what was tried: to dial, to get, to set.
func TestOperations(t *testing.T) {
	op := func(err error) string {
		if e, ok := err.(*net.OpError); ok {
			return e.Op
		}
		return fmt.Sprint(err)
	}
	c := conntest.New(t)
	for want, err := range map[string]error{
		"dial":   conntest.Err(datagram.Dial(t.Context(), "udp4", "[::1]:9")),
		"get":    conntest.Err(c.TTL()),
		"set":    c.SetTTL(0),
		"listen": c.Bind(t.Context(), "udp4", "192.0.2.1:0"),
	} {
		if got := op(err); got != want {
			t.Errorf("%v: the operation is %q, want %q", err, got, want)
		}
	}
	network, address := "udp4", "127.0.0.1:9"
	refused := datagram.WithMulticastInterface(&net.Interface{Index: 1 << 30})
	if got := op(conntest.Err(datagram.Dial(t.Context(), network, address, refused))); got != "dial" {
		t.Errorf("a setting that is refused while dialing: the operation is %q", got)
	}
}

// A connected handle is told when its peer is not there. That is no reason to
// stop receiving: the peer may come back.
func TestTransientErrorsDoNotEndReceiving(t *testing.T) {
	receive := map[string]func(*testing.T, *datagram.Conn) <-chan string{
		"Recv": func(t *testing.T, c *datagram.Conn) <-chan string {
			received := make(chan string, 10)
			reading := await.Go(func() {
				for d := range c.Recv() {
					received <- string(d.Payload)
				}
			})
			t.Cleanup(func() {
				c.Close()
				await.Signal(t, "the reader", reading)
			})
			return received
		},
		"Serve": func(t *testing.T, c *datagram.Conn) <-chan string {
			received := make(chan string, 10)
			result := conntest.Serve(background, c, conntest.Noting(received))
			t.Cleanup(func() {
				c.Close()
				await.Signal(t, "Serve", result)
			})
			return received
		},
	}
	for name, start := range receive {
		t.Run(name, func(t *testing.T) {
			failures := make(chan error, 10)
			c := conntest.Loopback(t, datagram.WithErrorHandler(func(err error) { failures <- err }))
			peer := conntest.QuietPort(t)
			addr := peer.LocalAddr()
			if err := c.Connect(addr); err != nil {
				t.Fatal(err)
			}
			received := start(t, c)
			conntest.TrySend(t, peer, datagram.To(c.LocalAddr(), []byte("before")))
			if got := await.Value(t, "a datagram", received); got != "before" {
				t.Fatalf("received %q", got)
			}
			peer.Close()
			for range 3 {
				// The answer to one may fail the next instead of reaching the receiver.
				if _, err := c.TrySend(conntest.ToPeer("anybody there?")); err == nil {
					err := await.Value(t, "the error handler", failures)
					conntest.ExpectError(t, "the error", err, syscall.ECONNREFUSED)
					if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "read" {
						t.Errorf("%#v does not say what failed", err)
					}
				}
			}
			if s := c.Stats(); s.ReceiveErrors == 0 {
				t.Errorf("%+v counts no error", s)
			}
			conntest.ExpectError(t, "Err", c.Err(), nil)

			back := conntest.Listen(t, "udp4", addr.String())
			conntest.TrySend(t, back, datagram.To(c.LocalAddr(), []byte("after")))
			if got := await.Value(t, "a datagram after the errors", received); got != "after" {
				t.Errorf("received %q", got)
			}
		})
	}
}

// The error handler may do everything, also what stops the receiver that called it.
func TestMethodsFromInsideTheErrorHandler(t *testing.T) {
	for name, call := range map[string]func(*datagram.Conn){
		"StopRecv": func(c *datagram.Conn) { c.StopRecv() },
		"Close":    func(c *datagram.Conn) { c.Close() },
		"Recv":     func(c *datagram.Conn) { c.StopRecv(); c.Recv(); c.Stats(); c.StopRecv() },
		"Send":     func(c *datagram.Conn) { c.Send(background, conntest.ToPeer("x")); c.StopRecv() },
	} {
		t.Run(name, func(t *testing.T) {
			conns, called := make(chan *datagram.Conn, 1), make(chan struct{})
			c := conntest.Loopback(t, datagram.WithErrorHandler(func(err error) {
				select {
				case c := <-conns:
					call(c)
					close(called)
				default: // an error of what the first call has sent
				}
			}))
			conns <- c
			if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
				t.Fatal(err)
			}
			ch := c.Recv()
			if _, err := c.TrySend(conntest.ToPeer("anybody there?")); err != nil {
				t.Fatal(err)
			}
			await.Signal(t, "the error handler", called)
			await.Closed(t, "the channel", ch)
		})
	}
}

// Only the handler that is set when an error is reported is called.
func TestSetErrorHandler(t *testing.T) {
	var c *datagram.Conn
	refused := func() {
		if err := c.Send(background, conntest.ToPeer("x")); err != nil {
			t.Fatal(err)
		}
	}
	first, second := make(chan error, 10), make(chan error, 10)
	c = conntest.Loopback(t, datagram.WithErrorHandler(func(err error) { first <- err }))
	if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	c.Recv()
	refused()
	conntest.CheckErrno(t, await.Value(t, "the first handler", first), syscall.ECONNREFUSED)
	c.SetErrorHandler(func(err error) { second <- err })
	refused()
	conntest.CheckErrno(t, await.Value(t, "the second handler", second), syscall.ECONNREFUSED)
	c.SetErrorHandler(nil)
	before := c.Stats().ReceiveErrors
	refused()
	await.Until(t, "an error counted", func() bool { return c.Stats().ReceiveErrors > before })
	c.Close()
	await.Closed(t, "Done", c.Done())
	if len(first)+len(second) > 0 {
		t.Errorf("%d and %d more errors reported", len(first), len(second))
	}
}

// Errors between which something is received are no reason to wait, however many.
func TestErrorsAmongDatagramsCauseNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		faults := datagramtest.NewFaults(1)
		c, err := network.Listen(background, "udp4", "127.0.0.1:0", faults.Option())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ch := c.Recv()
		synctest.Wait()
		start := time.Now()
		const count = 100
		for range count {
			faults.Inject(datagramtest.Fault{Op: datagramtest.OpReceive, Err: syscall.ENOBUFS})
			conntest.TrySend(t, c, datagram.To(c.LocalAddr(), nil))
			<-ch
			synctest.Wait()
		}
		if took, n := time.Since(start), c.Stats().ReceiveErrors; took != 0 || n != count {
			t.Errorf("%d errors in %v, want %d in no time", n, took, count)
		}
	})
}
