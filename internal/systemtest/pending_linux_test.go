package systemtest_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// ways are the ways to send one datagram, to the end.
var ways = map[string]func(*testing.T, *datagram.Conn, datagram.Datagram) error{
	"Send": func(t *testing.T, c *datagram.Conn, d datagram.Datagram) error {
		before := c.Stats().SendErrors
		if err := errors.Join(c.Send(background, d), c.Flush(background)); err != nil {
			return err
		}
		if c.Stats().SendErrors > before {
			return errors.New("failed")
		}
		return nil
	},
	"SendFunc": func(t *testing.T, c *datagram.Conn, d datagram.Datagram) error {
		done := make(chan error, 1)
		if err := c.SendFunc(background, d, func(err error) { done <- err }); err != nil {
			return err
		}
		return await.Value(t, "done", done)
	},
	"TrySend": func(t *testing.T, c *datagram.Conn, d datagram.Datagram) error {
		_, err := c.TrySend(d)
		return err
	},
	"TrySendBatch": func(t *testing.T, c *datagram.Conn, d datagram.Datagram) error {
		_, err := c.TrySendBatch([]datagram.Datagram{d})
		return err
	},
}

// eachPath runs a test at every step of degradation.
func eachPath(t *testing.T, f func(t *testing.T, opts ...datagram.Option)) {
	for name, option := range map[string]datagram.Option{
		"all": datagram.WithOffload(datagram.OffloadAll), "batch": datagram.WithOffload(datagram.OffloadBatch),
		"none": datagram.WithOffload(datagram.OffloadNone), "portable": conntest.Portable(),
	} {
		t.Run(name, func(t *testing.T) { f(t, option) })
	}
}

// awaitPending waits until an error is pending on a socket, and leaves it there.
func awaitPending(t *testing.T, c *datagram.Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "an error is pending", func() bool {
		var polled [1]unix.PollFd
		if err := raw.Control(func(fd uintptr) {
			polled[0].Fd = int32(fd)
			_, _ = unix.Poll(polled[:], 0)
		}); err != nil {
			t.Fatal(err)
		}
		return polled[0].Revents&unix.POLLERR != 0
	})
}

// An error about an earlier datagram, which the system tells the next send, is told once, and the datagram is sent:
// also by a handle that does not receive.
func TestPendingErrorFailsNoSend(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		for name, send := range ways {
			t.Run(name, func(t *testing.T) {
				told := make(chan error, 10)
				peer := conntest.QuietPort(t)
				addr := peer.LocalAddr()
				c := conntest.Loopback(t, append(opts, datagram.WithErrorHandler(func(err error) { told <- err }))...)
				if err := c.Connect(addr); err != nil {
					t.Fatal(err)
				}
				peer.Close()
				const rounds = 3
				for range rounds {
					conntest.ExpectError(t, "a send to nobody", send(t, c, conntest.ToPeer("anybody there?")), nil)
					awaitPending(t, c)
					back, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
					if err != nil {
						t.Fatal(err)
					}
					conntest.ExpectError(t, "the send that meets the error", send(t, c, conntest.ToPeer("hello")), nil)
					conntest.ExpectRead(t, back, "hello")
					back.Close()
					err = await.Value(t, "the error handler", told)
					conntest.ExpectError(t, "the error", err, syscall.ECONNREFUSED)
					if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "read" {
						t.Errorf("%#v does not say what failed", err)
					}
					if call := (*os.SyscallError)(nil); !errors.As(err, &call) || call.Syscall != "sendto" {
						t.Errorf("%v does not name sendto", err)
					}
				}
				conntest.ExpectError(t, "Flush", c.Flush(background), nil)
				if s := c.Stats(); s.Sent != 2*rounds || s.SendErrors != 0 || s.ReceiveErrors != rounds || len(told) > 0 {
					t.Errorf("%d more told; %+v", len(told), s)
				}
			})
		}
	})
}

// What is pending is not taken for the datagram's own error, nor the other way round, also where both are of
// one kind.
func TestOwnErrorIsNotPending(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		told := make(chan error, 10)
		c := conntest.Loopback(t, append(opts, datagram.WithErrorHandler(func(err error) { told <- err }))...)
		if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TrySend(conntest.ToPeer("too long" + string(make([]byte, 65_507)))); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%v, want EMSGSIZE", err)
		}
		_, err := c.TrySend(conntest.ToPeer("anybody there?"))
		conntest.ExpectError(t, "a send to nobody", err, nil)
		awaitPending(t, c)
		if _, err := c.TrySend(conntest.ToPeer("too long" + string(make([]byte, 65_507)))); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%v, want EMSGSIZE", err)
		}
		_, err = c.TrySend(conntest.ToPeer("anybody there?"))
		conntest.ExpectError(t, "another", err, nil)
		conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNREFUSED)
		if s := c.Stats(); s.SendErrors != 2 || s.Sent != 2 || s.ReceiveErrors != 1 || len(told) > 0 {
			t.Errorf("%d more told; %+v", len(told), s)
		}
	})
}

// Somebody else may have asked the system for network errors: then it tells unconnected sockets too, of all that they
// have sent to.
func TestErrorsThatOthersAskedForFailNoSend(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		told := make(chan error, 10)
		c := conntest.Loopback(t, append(opts, datagram.WithErrorHandler(func(err error) { told <- err }),
			datagram.WithControl(func(_, _ string, raw syscall.RawConn) (err error) {
				if e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1) }); e != nil {
					return e
				}
				return err
			}))...)
		peer, dead := conntest.Socket(t), conntest.DeadAddr(t, "127.0.0.1:0")
		_, err := c.TrySend(datagram.To(dead, []byte("nobody")))
		conntest.ExpectError(t, "a send to nobody", err, nil)
		awaitPending(t, c)
		_, err = c.TrySend(datagram.To(conntest.AddrOf(peer), []byte("hello")))
		conntest.ExpectError(t, "a send to somebody", err, nil)
		conntest.ExpectRead(t, peer, "hello")
		conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNREFUSED)
	})
}

// A Unix socket is told when its peer dissolves their association with something unread (unix_dgram_disconnected).
func TestPendingResetFailsNoSend(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	f := os.NewFile(uintptr(fds[0]), "socket")
	defer f.Close()
	told := make(chan error, 10)
	c, err := datagram.Open(f, datagram.WithErrorHandler(func(err error) { told <- err }))
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, c)
	_, err = c.TrySend(conntest.ToPeer("unread"))
	conntest.ExpectError(t, "a send", err, nil)
	null := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fds[1]), uintptr(unsafe.Pointer(&null)), unsafe.Sizeof(null)); errno != 0 {
		t.Fatal(errno)
	}
	awaitPending(t, c)
	_, err = c.TrySend(conntest.ToPeer("hello"))
	conntest.ExpectError(t, "the send that meets the error", err, nil)
	b := make([]byte, 10)
	if n, err := unix.Read(fds[1], b); string(b[:max(n, 0)]) != "hello" {
		t.Errorf("received %q, %v", b[:max(n, 0)], err)
	}
	conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNRESET)
}
