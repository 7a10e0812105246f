package datagram_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// A connected handle is told when its peer is not there. That is no reason to
// stop receiving: the peer may come back.
func TestTransientErrorsDoNotEndReceiving(t *testing.T) {
	receive := map[string]func(*testing.T, *datagram.Conn) <-chan string{
		"Recv": func(t *testing.T, c *datagram.Conn) <-chan string {
			received := make(chan string, 10)
			reading := starts(func() {
				for d := range c.Recv() {
					received <- string(d.Payload)
				}
			})
			t.Cleanup(func() {
				c.Close()
				await(t, "the reader", reading)
			})
			return received
		},
		"Serve": func(t *testing.T, c *datagram.Conn) <-chan string {
			received := make(chan string, 10)
			result := serving(background, c, noting(received))
			t.Cleanup(func() {
				c.Close()
				await(t, "Serve", result)
			})
			return received
		},
	}
	for name, start := range receive {
		t.Run(name, func(t *testing.T) {
			failures := make(chan error, 10)
			c := loopback(t, datagram.WithErrorHandler(func(err error) { failures <- err }))
			peer := unboundSocket(t)
			addr := addrOf(peer)
			if err := c.Connect(addr); err != nil {
				t.Fatal(err)
			}
			received := start(t, c)
			if _, err := peer.WriteToUDPAddrPort([]byte("before"), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if got := await(t, "a datagram", received); got != "before" {
				t.Fatalf("received %q", got)
			}
			peer.Close()
			for range 3 {
				// The answer to one may fail the next instead of reaching the receiver.
				if _, err := c.TrySend(unaddressed("anybody there?")); err == nil {
					err := await(t, "the error handler", failures)
					expectError(t, "the error", err, syscall.ECONNREFUSED)
					if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "read" {
						t.Errorf("%#v does not say what failed", err)
					}
				}
			}
			if s := c.Stats(); s.ReceiveErrors == 0 {
				t.Errorf("%+v counts no error", s)
			}
			expectError(t, "Err", c.Err(), nil)

			back, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer back.Close()
			if _, err := back.WriteToUDPAddrPort([]byte("after"), c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			if got := await(t, "a datagram after the errors", received); got != "after" {
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
		"Send":     func(c *datagram.Conn) { c.Send(background, unaddressed("x")); c.StopRecv() },
	} {
		t.Run(name, func(t *testing.T) {
			conns, called := make(chan *datagram.Conn, 1), make(chan struct{})
			c := loopback(t, datagram.WithErrorHandler(func(err error) {
				select {
				case c := <-conns:
					call(c)
					close(called)
				default: // an error of what the first call has sent
				}
			}))
			conns <- c
			peer := unboundSocket(t)
			if err := c.Connect(addrOf(peer)); err != nil {
				t.Fatal(err)
			}
			ch := c.Recv()
			peer.Close()
			if _, err := c.TrySend(unaddressed("anybody there?")); err != nil {
				t.Fatal(err)
			}
			await(t, "the error handler", called)
			expectClosed(t, ch)
		})
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
			mustSend(t, c, datagram.To(c.LocalAddr(), nil))
			<-ch
			synctest.Wait()
		}
		if took, n := time.Since(start), c.Stats().ReceiveErrors; took != 0 || n != count {
			t.Errorf("%d errors in %v, want %d in no time", n, took, count)
		}
	})
}
