package systemtest_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// What is pending when a handle is disconnected is about the peer: no send to others meets it.
func TestPendingErrorOfFormerPeer(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		for name, send := range ways {
			t.Run(name, func(t *testing.T) {
				told := make(chan error, 10)
				former := conntest.Socket(t)
				other := conntest.Listen(t, "udp4", "127.0.0.1:0")
				c := conntest.Loopback(t, append(opts, datagram.WithErrorHandler(func(err error) { told <- err }))...)
				conntest.ExpectError(t, "Connect", c.Connect(conntest.AddrOf(former)), nil)
				former.Close()
				conntest.TrySend(t, c, conntest.ToPeer("anybody there?"))
				awaitPending(t, c)
				conntest.ExpectError(t, "Disconnect", c.Disconnect(), nil)
				conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNREFUSED)
				conntest.ExpectError(t, "a send to another", send(t, c, datagram.To(other.LocalAddr(), []byte("hello"))), nil)
				conntest.Expect(t, other, "hello")
				if s := c.Stats(); s.SendErrors != 0 || s.ReceiveErrors != 1 || len(told) > 0 {
					t.Errorf("%d more told; %+v", len(told), s)
				}
			})
		}
	})
}

// Connect and Disconnect keep the port of a socket that was destroyed before.
func TestConnectAfterDestroyed(t *testing.T) {
	eachDestroyable(t, func(t *testing.T, c, peer *datagram.Conn, told <-chan error) {
		port := c.LocalAddr().Port()
		destroy(t, c, peer)
		if c.RemoteAddr().IsValid() {
			conntest.ExpectError(t, "Disconnect", c.Disconnect(), nil)
		} else {
			conntest.ExpectError(t, "Connect", c.Connect(peer.LocalAddr()), nil)
		}
		if got := c.LocalAddr().Port(); got != port {
			t.Errorf("bound to port %d, want %d", got, port)
		}
		ch := c.Recv()
		conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
		conntest.TrySend(t, peer, datagram.To(reached(c, peer), []byte("still there?")))
		if got := conntest.Text(t, ch); got != "still there?" {
			t.Errorf("received %q", got)
		}
		conntest.TrySend(t, c, toPeer(c, peer, "yes"))
		conntest.Expect(t, peer, "yes")
	})
}

// A device that the program has bound the socket to by itself stays.
func TestConnectKeepsForeignDevice(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		peer := conntest.Listen(t, "udp4", "127.0.0.1:0")
		c := conntest.Loopback(t, opts...)
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		conntest.Control(t, raw, func(fd int) error { return unix.BindToDevice(fd, "lo") })
		conntest.ExpectError(t, "Connect", c.Connect(peer.LocalAddr()), nil)
		expectDevice(t, c, true)
	})
}
