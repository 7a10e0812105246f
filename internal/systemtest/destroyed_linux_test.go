package systemtest_test

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// destroyable are handles whose sockets the kernel destroys, with a peer each.
var destroyable = map[string]struct {
	network, address string
	connected        bool
	opts             []datagram.Option
}{
	"connected, chosen port":   {"udp4", "0.0.0.0:0", true, nil},
	"connected, address":       {"udp4", "127.0.0.1:0", true, nil},
	"connected, both families": {"udp", ":0", true, nil},
	"connected, IPv6":          {"udp6", "[::1]:0", true, nil},
	"unconnected":              {"udp4", "0.0.0.0:0", false, nil},
	"unconnected, IPv6":        {"udp6", "[::]:0", false, nil},
	"unconnected, device":      {"udp4", "0.0.0.0:0", false, []datagram.Option{datagram.WithInterface("lo")}},
	"connected, device":        {"udp4", "0.0.0.0:0", true, []datagram.Option{datagram.WithInterface("lo")}},
}

// eachDestroyable runs a test with a handle of each kind, on each path, and its peer.
func eachDestroyable(t *testing.T, f func(t *testing.T, c, peer *datagram.Conn, told <-chan error)) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		for name, test := range destroyable {
			t.Run(name, func(t *testing.T) {
				told := make(chan error, 100)
				opts := append(append(test.opts, opts...), datagram.WithErrorHandler(func(err error) { told <- err }))
				c := conntest.Listen(t, test.network, test.address, opts...)
				wildcard := "127.0.0.1:0"
				if c.LocalAddr().Addr().Is6() && test.network == "udp6" {
					wildcard = "[::1]:0"
				}
				peer := conntest.Listen(t, "udp", wildcard)
				if test.connected {
					if err := c.Connect(peer.LocalAddr()); err != nil {
						t.Fatal(err)
					}
				}
				f(t, c, peer, told)
				expectDevice(t, c, test.opts != nil)
			})
		}
	})
}

// reached is the address at which peer reaches c.
func reached(c, peer *datagram.Conn) netip.AddrPort {
	local := c.LocalAddr()
	if local.Addr().IsUnspecified() {
		return netip.AddrPortFrom(peer.LocalAddr().Addr(), local.Port())
	}
	return local
}

func destroy(t *testing.T, c, peer *datagram.Conn) {
	t.Helper()
	netns.Destroy(t, reached(c, peer), peer.LocalAddr())
}

// toPeer is a datagram to peer from a handle that may be connected to it.
func toPeer(c, peer *datagram.Conn, payload string) datagram.Datagram {
	if c.RemoteAddr().IsValid() {
		return conntest.ToPeer(payload)
	}
	return datagram.To(peer.LocalAddr(), []byte(payload))
}

// A receiver whose socket the kernel destroys goes on, with the addresses that it had, and the error is told once.
func TestDestroyedSocketReceivesAgain(t *testing.T) {
	eachDestroyable(t, func(t *testing.T, c, peer *datagram.Conn, told <-chan error) {
		local, remote, at := c.LocalAddr(), c.RemoteAddr(), reached(c, peer)
		var ch <-chan datagram.Datagram
		for range 3 {
			destroy(t, c, peer)
			ch = c.Recv() // which begins after the first time
			conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
			if c.LocalAddr() != local || c.RemoteAddr() != remote || c.Err() != nil {
				t.Fatalf("from %v to %v, %v; want from %v to %v", c.LocalAddr(), c.RemoteAddr(), c.Err(), local, remote)
			}
			conntest.TrySend(t, peer, datagram.To(at, []byte("still there?")))
			if got := conntest.Text(t, ch); got != "still there?" {
				t.Errorf("received %q", got)
			}
			conntest.TrySend(t, c, toPeer(c, peer, "yes"))
			conntest.Expect(t, peer, "yes")
		}
		if s := c.Stats(); s.SendErrors != 0 || s.ReceiveErrors != 3 || len(told) > 0 {
			t.Errorf("%d more told; %+v", len(told), s)
		}
	})
}

// expectDevice checks whether a handle is bound to the loopback device.
func expectDevice(t *testing.T, c *datagram.Conn, bound bool) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		device, err := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
		if (device == "lo") != bound {
			t.Errorf("bound to device %q, %v", device, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// Where nobody receives, the next send makes the socket what it was.
func TestDestroyedSocketSendsAgain(t *testing.T) {
	for name, send := range ways {
		t.Run(name, func(t *testing.T) {
			eachDestroyable(t, func(t *testing.T, c, peer *datagram.Conn, told <-chan error) {
				local, remote, at := c.LocalAddr(), c.RemoteAddr(), reached(c, peer)
				destroy(t, c, peer)
				conntest.ExpectError(t, "the send that meets the error", send(t, c, toPeer(c, peer, "hello")), nil)
				if d := conntest.Expect(t, peer, "hello"); d.Addr != at {
					t.Errorf("from %v, want %v", d.Addr, at)
				}
				conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
				if c.LocalAddr() != local || c.RemoteAddr() != remote {
					t.Errorf("from %v to %v, want from %v to %v", c.LocalAddr(), c.RemoteAddr(), local, remote)
				}
				conntest.TrySend(t, peer, datagram.To(at, []byte("answer")))
				conntest.Expect(t, c, "answer")
				if s := c.Stats(); s.Sent != 1 || s.SendErrors != 0 || s.ReceiveErrors != 1 || len(told) > 0 {
					t.Errorf("%d more told; %+v", len(told), s)
				}
			})
		})
	}
}

// Another holder of the socket may do the same, without an error that says so.
func TestSocketDisconnectedByOthersSendsAgain(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		told := make(chan error, 100)
		peer := conntest.Loopback(t)
		c := conntest.Dial(t, peer, append(opts, datagram.WithErrorHandler(func(err error) { told <- err }))...)
		local, remote := c.LocalAddr(), c.RemoteAddr()
		f, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		raw, err := f.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := raw.Control(func(fd uintptr) {
				null := unix.RawSockaddr{Family: unix.AF_UNSPEC}
				if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&null)), unsafe.Sizeof(null)); errno != 0 {
					t.Error(errno)
				}
			}); err != nil {
				t.Fatal(err)
			}
			_, err = c.TrySend(conntest.ToPeer("hello"))
			conntest.ExpectError(t, "the send", err, nil)
			if d := conntest.Expect(t, peer, "hello"); d.Addr != local || c.RemoteAddr() != remote {
				t.Errorf("from %v to %v, want from %v to %v", d.Addr, c.RemoteAddr(), local, remote)
			}
			conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
		}
		// What the kernel does then is told as well.
		c.Recv()
		destroy(t, c, peer)
		conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
	})
}

// lose destroys the socket of a dialled handle, whose port another socket has then.
func lose(t *testing.T, c, peer *datagram.Conn) {
	t.Helper()
	local := c.LocalAddr()
	destroy(t, c, peer)
	thief, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { thief.Close() })
}

// Where the socket cannot be made what it was nobody is told otherwise, and the handle can be connected again.
func TestLostSocket(t *testing.T) {
	meet := map[string]func(*testing.T, *datagram.Conn){
		"Recv": func(t *testing.T, c *datagram.Conn) {
			await.Closed(t, "the channel", c.Recv())
			conntest.ExpectError(t, "Err", c.Err(), syscall.ECONNABORTED)
			conntest.ExpectError(t, "Err", c.Err(), syscall.EADDRINUSE)
		},
		"Serve": func(t *testing.T, c *datagram.Conn) {
			err := c.Serve(background, func(datagram.Datagram) {})
			conntest.ExpectError(t, "Serve", err, syscall.ECONNABORTED)
			conntest.ExpectError(t, "Serve", err, syscall.EADDRINUSE)
		},
		"TrySend": func(t *testing.T, c *datagram.Conn) {
			_, err := c.TrySend(conntest.ToPeer("hello"))
			conntest.ExpectError(t, "TrySend", err, syscall.ECONNABORTED)
		},
		"SendFunc": func(t *testing.T, c *datagram.Conn) {
			conntest.ExpectError(t, "SendFunc", ways["SendFunc"](t, c, conntest.ToPeer("hello")), syscall.ECONNABORTED)
		},
	}
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		for name, meet := range meet {
			t.Run(name, func(t *testing.T) {
				peer := conntest.Loopback(t)
				c := conntest.Dial(t, peer, opts...)
				lose(t, c, peer)
				meet(t, c)
				await.Until(t, "the handle is unconnected", func() bool { return !c.RemoteAddr().IsValid() })
				if c.LocalAddr().IsValid() {
					t.Errorf("bound to %v", c.LocalAddr())
				}
				_, err := c.TrySend(conntest.ToPeer("hello"))
				conntest.ExpectError(t, "a send to no peer", err, syscall.EDESTADDRREQ)
				c.Recv()
				if !c.LocalAddr().IsValid() {
					t.Error("a handle that receives is not bound")
				}
				conntest.ExpectError(t, "Connect", c.Connect(peer.LocalAddr()), nil)
				conntest.TrySend(t, c, conntest.ToPeer("again"))
				d := conntest.Expect(t, peer, "again")
				conntest.TrySend(t, peer, d.Reply([]byte("answer")))
				conntest.Expect(t, c, "answer")
			})
		}
	})
}

// Receiving ends with the error, be it that a send has found it.
func TestLostSocketEndsReceiving(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		for name, handle := range map[string]func(*datagram.Conn){
			"met by receiving": func(*datagram.Conn) {},
			"met by a send": func(c *datagram.Conn) {
				_, err := c.TrySend(conntest.ToPeer("hello"))
				conntest.ExpectError(t, "TrySend", err, syscall.ECONNABORTED)
			},
		} {
			t.Run(name, func(t *testing.T) {
				peer := conntest.Loopback(t)
				c := conntest.Dial(t, peer, opts...)
				conntest.TrySend(t, peer, datagram.To(c.LocalAddr(), []byte("begin")))
				err := c.Serve(background, func(datagram.Datagram) {
					lose(t, c, peer)
					handle(c)
				})
				conntest.ExpectError(t, "Serve", err, syscall.ECONNABORTED)
				conntest.ExpectError(t, "Err", c.Err(), syscall.ECONNABORTED)
				if c.RemoteAddr().IsValid() {
					t.Errorf("connected to %v", c.RemoteAddr())
				}
			})
		}
	})
}

// Senders and a receiver meet the error at the same time: it is told once, and nothing is lost or fails.
func TestDestroyedWhileBusy(t *testing.T) {
	eachPath(t, func(t *testing.T, opts ...datagram.Option) {
		told := make(chan error, 1000)
		peer := conntest.Loopback(t, datagram.WithRecvQueue(1, datagram.DropNewest))
		c := conntest.Dial(t, peer, append(opts, datagram.WithErrorHandler(func(err error) { told <- err }))...)
		peer.Recv()
		c.Recv()
		stop := make(chan struct{})
		var senders sync.WaitGroup
		for range 3 {
			senders.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := c.TrySend(conntest.ToPeer("hello")); err != nil && !errors.Is(err, datagram.ErrWouldBlock) {
						t.Error(err)
						return
					}
				}
			})
		}
		end := sync.OnceFunc(func() {
			close(stop)
			senders.Wait()
		})
		defer end() // also if the test is skipped
		const rounds = 50
		for range rounds {
			destroy(t, c, peer)
			conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), syscall.ECONNABORTED)
			await.Until(t, "the socket is back", func() bool { return c.LocalAddr().IsValid() && c.LocalAddr().Addr() == conntest.Localhost4 })
		}
		end()
		if s := c.Stats(); s.SendErrors != 0 || s.ReceiveErrors != rounds || len(told) > 0 {
			t.Errorf("%d more told; %+v", len(told), s)
		}
	})
}

// awaitAbort waits until the error handler hears that the socket was destroyed.
func awaitAbort(t *testing.T, told <-chan error) {
	t.Helper()
	for err := error(nil); !errors.Is(err, syscall.ECONNABORTED); {
		err = await.Value(t, "ECONNABORTED", told)
	}
}

// Network errors that wait with it hide no destruction.
func TestDestroyedAmongNetworkErrors(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		t.Run(address, func(t *testing.T) {
			told := make(chan error, 100)
			c := conntest.Listen(t, "udp4", address, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { told <- err }))
			peer := conntest.QuietPort(t)
			at := peer.LocalAddr()
			if err := c.Connect(at); err != nil {
				t.Fatal(err)
			}
			local := reached(c, peer)
			peer.Close()
			conntest.TrySend(t, c, conntest.ToPeer("nobody")) // loopback has the answer at once
			netns.Destroy(t, local, at)
			ch := c.Recv()
			awaitAbort(t, told)
			back := conntest.Listen(t, "udp4", at.String())
			conntest.TrySend(t, back, datagram.To(local, []byte("back")))
			if got := conntest.Text(t, ch); got != "back" {
				t.Errorf("received %q", got)
			}
		})
	}
}

// A socket keeps one pending error: a network error that comes after the destruction takes its place. The handle
// notices all the same, and hears no strangers.
func TestDestroyedThenNetworkError(t *testing.T) {
	for name, option := range map[string]datagram.Option{
		"asked for":           datagram.WithNetworkErrors(),
		"asked for by others": datagram.WithControl(func(_, _ string, raw syscall.RawConn) error { return hearErrors(raw) }),
	} {
		t.Run(name, func(t *testing.T) {
			n := netns.New(t)
			forger := newForger(t, n)
			told := make(chan error, 100)
			var c, stranger *datagram.Conn
			n.Do(func() {
				// The kernel leaves the socket a port that it was given.
				c = conntest.Listen(t, "udp4", "127.0.0.1:7", option, datagram.WithErrorHandler(func(err error) { told <- err }))
				stranger = conntest.Loopback(t)
			})
			if err := c.Connect(c.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			local := c.LocalAddr()
			n.Do(func() { netns.Destroy(t, local, local) })
			forger.unreachable(t, local, 3)
			ch := c.Recv()
			awaitAbort(t, told)
			conntest.TrySend(t, stranger, datagram.To(local, []byte("stranger")))
			conntest.TrySend(t, c, conntest.ToPeer("own"))
			if got := conntest.Text(t, ch); got != "own" {
				t.Errorf("received %q", got)
			}
		})
	}
}

// A socket that was bound before it was destroyed is bound again where it was, not elsewhere.
func TestBindAfterDestroyed(t *testing.T) {
	f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, f, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{}) })
	c := conntest.Open(t, f)
	peer := conntest.Loopback(t)
	local := reached(c, peer)
	netns.Destroy(t, local, peer.LocalAddr())
	conntest.ExpectError(t, "Bind", c.Bind(background, "udp4", "127.0.0.1:0"), syscall.EINVAL)
	if got := reached(c, peer); got != local {
		t.Errorf("bound to %v, want %v", got, local)
	}
}
