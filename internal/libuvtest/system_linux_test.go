package libuvtest_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// R6, R7.
func TestLibuvCreateEarly(t *testing.T) {
	c := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0))
	if _, err := c.SyscallConn(); err != nil {
		t.Errorf("no descriptor before Bind: %v", err)
	}
	if c.LocalAddr().IsValid() {
		t.Errorf("bound to %v before Bind", c.LocalAddr())
	}
	if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if local := c.LocalAddr(); local.Addr() != conntest.Localhost4 || local.Port() == 0 {
		t.Errorf("bound to %v", local)
	}

	f := conntest.SocketFile(t, unix.AF_INET6, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, f, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1) })
	c = conntest.Open(t, f)
	conntest.CheckErrno(t, c.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EAFNOSUPPORT)
	if c.LocalAddr().IsValid() {
		t.Errorf("a failed Bind left %v", c.LocalAddr())
	}
}

// R15, R16, R17. In a namespace, so that nothing reaches a network.
func TestLibuvMulticastSend(t *testing.T) {
	for _, routed := range []bool{false, true} {
		netns.New(t).Do(func() { testMulticastSend(t, routed) })
	}
}

func testMulticastSend(t *testing.T, routed bool) {
	t.Helper()
	lo := conntest.LoopbackInterface(t)
	for name, set := range map[string]func(*datagram.Conn) error{
		"interface": func(c *datagram.Conn) error { return c.SetMulticastInterface(nil) },
		"TTL":       func(c *datagram.Conn) error { return c.SetMulticastTTL(32) },
	} {
		c := conntest.Listen(t, "udp4", "0.0.0.0:0")
		if err := set(c); err != nil {
			t.Fatal(err)
		}
		if routed {
			if err := c.SetMulticastInterface(lo); err != nil {
				t.Fatal(err)
			}
		}
		completed := make(chan error, 1)
		err := c.SendFunc(t.Context(), datagram.To(netip.MustParseAddrPort("239.255.0.1:9"), []byte("x")),
			func(err error) { completed <- err })
		if err != nil {
			t.Fatal(err)
		}
		err = await.Value(t, "the completion", completed)
		if routed && err != nil || !routed && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("%s, routed %v: %v", name, routed, err)
		}
	}
	c := conntest.Listen(t, "udp6", "[::]:0")
	if err := c.SetMulticastInterface(nil); err != nil {
		t.Fatal(err)
	}
	conntest.TrySend(t, c, datagram.To(netip.AddrPortFrom(conntest.Localhost6, c.LocalAddr().Port()), []byte("x")))
	conntest.Expect(t, c, "x")
}

// R18 to R22.
func TestLibuvOpen(t *testing.T) {
	t.Run("udp_open", func(t *testing.T) {
		f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
		conntest.OnFile(t, f, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		c := conntest.Open(t, f)
		conntest.Open(t, f).Close() // it does not disturb the first
		if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		to := c.LocalAddr()
		completed := make(chan error, 2)
		err := c.SendFunc(t.Context(), datagram.To(to, []byte("PING")), func(err error) {
			completed <- err
			completed <- c.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := await.Value(t, "completion and Close", completed); err != nil {
				t.Error(err)
			}
		}
		await.Closed(t, "the handle", c.Done())
		if c.SendQueueSize() != 0 {
			t.Errorf("%d bytes are queued", c.SendQueueSize())
		}
	})
	t.Run("udp_open_twice", func(t *testing.T) {
		c := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0))
		if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		conntest.CheckErrno(t, c.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EINVAL)
	})
	t.Run("udp_open_bound", func(t *testing.T) {
		f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
		conntest.OnFile(t, f, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: conntest.Localhost4.As4()}) })
		c := conntest.Open(t, f)
		local := c.LocalAddr()
		c.Recv()
		if err := c.Err(); err != nil || c.LocalAddr() != local || !local.IsValid() {
			t.Errorf("receiving: %v, bound to %v, was to %v", err, c.LocalAddr(), local)
		}
		conntest.TrySend(t, c, datagram.To(local, []byte("x")))
		conntest.Expect(t, c, "x")
	})
	t.Run("udp_open_connect", func(t *testing.T) {
		server := conntest.Loopback(t)
		f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
		conntest.OnFile(t, f, func(fd int) error {
			return unix.Connect(fd, &unix.SockaddrInet4{Addr: conntest.Localhost4.As4(), Port: int(server.LocalAddr().Port())})
		})
		c := conntest.Open(t, f)
		completed := make(chan error, 2)
		err := c.SendFunc(t.Context(), datagram.Datagram{Payload: []byte("PING")}, func(err error) {
			completed <- err
			completed <- c.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := await.Value(t, "completion and Close", completed); err != nil {
				t.Error(err)
			}
		}
		conntest.Expect(t, server, "PING")
		if c.SendQueueSize() != 0 {
			t.Errorf("%d bytes are queued", c.SendQueueSize())
		}
	})
	t.Run("udp_send_unix", func(t *testing.T) {
		listener, err := net.Listen("unix", "@"+t.Name())
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		f, err := listener.(*net.UnixListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = datagram.Open(f)
		conntest.CheckErrno(t, err, syscall.EPROTOTYPE)
	})
}

// R29, R30.
func TestLibuvMulticastJoin(t *testing.T) {
	for _, test := range []struct{ network, group string }{{"udp4", "239.255.0.1"}, {"udp6", "ff02::1"}} {
		t.Run(test.network, func(t *testing.T) {
			n, far := netns.New(t), netns.New(t)
			ifi, _ := netns.Link(n, far)
			n.Addresses(ifi, "192.0.2.1/24", "2001:db8::1/64", "fe80::1/64")
			n.IP("route add 224.0.0.0/4 dev %s", ifi.Name)
			n.Do(func() { testMulticastJoin(t, test.network, netip.MustParseAddr(test.group)) })
		})
	}
}

func testMulticastJoin(t *testing.T, network string, group netip.Addr) {
	t.Helper()
	server, client := conntest.Listen(t, network, ":0"), conntest.Listen(t, network, ":0")
	if err := server.JoinGroup(group, nil); err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(group, server.LocalAddr().Port())
	conntest.TrySend(t, client, datagram.To(to, []byte("PING")))
	d := conntest.Expect(t, server, "PING")
	if err := server.LeaveGroup(group, nil); err != nil {
		t.Error(err)
	}
	if err := server.JoinSourceGroup(group, d.Addr.Addr(), nil); err != nil {
		t.Fatal(err)
	}
	conntest.TrySend(t, client, datagram.To(to, []byte("PONG")))
	conntest.Expect(t, server, "PONG")
}

// R36. The second address is on the link, but nobody answers for it.
func TestLibuvSendsNeverHang(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *netns.Namespace){
		"no route": func(*testing.T, *netns.Namespace) {},
		"nobody": func(t *testing.T, n *netns.Namespace) {
			ifi, _ := netns.Link(n, netns.New(t))
			n.Addresses(ifi, "192.0.2.1/24")
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := netns.New(t)
			prepare(t, n)
			var c *datagram.Conn
			n.Do(func() { c = conntest.Listen(t, "udp4", "0.0.0.0:0") })
			d := datagram.To(netip.MustParseAddrPort("192.0.2.3:9"), make([]byte, 1024))
			const total = 1001
			sent := 0 // only ever touched by the completion that runs
			finished := make(chan struct{})
			var next func(error)
			next = func(err error) {
				if err != nil && !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
					t.Error(err)
				}
				if sent++; sent == total {
					close(finished)
					return
				}
				if err := c.SendFunc(t.Context(), d, next); err != nil {
					t.Error(err)
				}
			}
			if err := c.SendFunc(t.Context(), d, next); err != nil {
				t.Fatal(err)
			}
			await.Closed(t, "the sends", finished)
		})
	}
}

// R47.
func TestLibuvManyOnOnePort(t *testing.T) {
	const count = 1000 // of 2500: the race detector knows no more than 8128 goroutines
	var completions atomic.Int64
	address := "127.0.0.1:0"
	var conns [count]*datagram.Conn
	for i := range conns {
		conns[i] = conntest.Listen(t, "udp4", address, datagram.WithReuseAddr(), datagram.WithMaxDatagramSize(1))
		address = conns[0].LocalAddr().String()
		conns[i].Recv()
	}
	received := make(chan datagram.Datagram, 1)
	for _, c := range conns {
		go func() {
			for d := range c.Recv() {
				select {
				case received <- d:
				default:
				}
			}
		}()
	}
	payload := make([]byte, 1024)
	for _, c := range conns {
		err := c.SendFunc(t.Context(), datagram.To(conns[0].LocalAddr(), payload), func(err error) {
			if err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			completions.Add(1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := await.Value(t, "any of them", received); len(d.Payload) != 1 || !d.Partial {
		t.Errorf("received %d bytes, partial %v", len(d.Payload), d.Partial)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, c := range conns {
		await.Closed(t, "a handle", c.Done())
	}
	if n := completions.Load(); n != count {
		t.Errorf("%d of %d sends were completed", n, count)
	}
}

// Later than R49: udp_mmsg_namelen_zero. The kernel then returns at once and names no
// sender; a handle must not take that for datagrams, nor spin.
func TestLibuvShutDownForReading(t *testing.T) {
	peer := conntest.Loopback(t)
	c := conntest.Dial(t, peer)
	ch := c.Recv()
	conntest.OnFile(t, c, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) })
	conntest.TrySend(t, c, datagram.Datagram{Payload: []byte("still sends")})
	conntest.Expect(t, peer, "still sends")
	if err := c.StopRecv(); err != nil {
		t.Error(err)
	}
	for d := range ch {
		if !d.Addr.IsValid() {
			t.Fatalf("received %d bytes from nobody", len(d.Payload))
		}
	}
}
