package systemtest_test

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// newSocket returns a socket of a namespace in a file that the test closes.
func newSocket(t *testing.T, n *netns.Namespace, domain, kind, protocol int) *os.File {
	t.Helper()
	var f *os.File
	n.Do(func() { f = conntest.SocketFile(t, domain, kind|unix.SOCK_NONBLOCK, protocol) })
	return f
}

func TestOpenUDPUnbound(t *testing.T) {
	l := newLAN(t)
	peer := listenIn(t, l.far, "udp4", ":0")
	c := conntest.Open(t, newSocket(t, l.near, unix.AF_INET, unix.SOCK_DGRAM, 0))
	if local := c.LocalAddr(); local.IsValid() {
		t.Errorf("bound to %v", local)
	}
	if err := c.Bind(await.Context(t), "udp4", "192.0.2.1:0"); err != nil {
		t.Fatal(err)
	}
	local := c.LocalAddr()
	if local.Addr() != families[0].near || local.Port() == 0 {
		t.Errorf("bound to %v", local)
	}
	if err := c.Bind(await.Context(t), "udp4", "192.0.2.1:0"); !errors.Is(err, syscall.EINVAL) || c.LocalAddr() != local {
		t.Errorf("bind again: %v, want EINVAL", err)
	}
	conntest.Send(t, c, datagram.To(at(families[0].far, peer), []byte("question")))
	conntest.Send(t, peer, conntest.Expect(t, peer, "question").Reply([]byte("answer")))
	conntest.Expect(t, c, "answer")

	// Sending binds one that nobody bound.
	c = conntest.Open(t, newSocket(t, l.near, unix.AF_INET, unix.SOCK_DGRAM, 0))
	conntest.Send(t, c, datagram.To(at(families[0].far, peer), []byte("question")))
	conntest.Send(t, peer, conntest.Expect(t, peer, "question").Reply([]byte("answer")))
	conntest.Expect(t, c, "answer")

	// So does receiving, in either way.
	for name, receive := range map[string]func(*datagram.Conn){
		"Recv":  func(c *datagram.Conn) { c.Recv() },
		"Serve": func(c *datagram.Conn) { go c.Serve(await.Context(t), func(datagram.Datagram) {}) },
	} {
		c := conntest.Open(t, newSocket(t, l.near, unix.AF_INET6, unix.SOCK_DGRAM, 0))
		receive(c)
		await.Until(t, name, func() bool { return c.LocalAddr().Port() != 0 && c.Active() })
		if local := c.LocalAddr(); !local.Addr().IsUnspecified() {
			t.Errorf("%s: bound to %v", name, local)
		}
	}
}

func TestOpenUDPConnected(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		peer := listenIn(t, l.far, f.network, ":0")
		file, err := dialIn(t, l.near, f.network, at(f.far, peer)).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		c := conntest.Open(t, file)
		if c.RemoteAddr() != at(f.far, peer) || c.LocalAddr().Addr() != f.near {
			t.Errorf("%v connected to %v", c.LocalAddr(), c.RemoteAddr())
		}
		if err := conntest.Outcome(t, c, datagram.To(at(f.far, peer), nil)); !errors.Is(err, syscall.EISCONN) {
			t.Errorf("with a destination: %v, want EISCONN", err)
		}
		conntest.Send(t, c, datagram.To(netip.AddrPort{}, []byte("question")))
		conntest.Send(t, peer, conntest.Expect(t, peer, "question").Reply([]byte("answer")))
		if got := conntest.Expect(t, c, "answer").Reply(nil).Addr; got.IsValid() {
			t.Errorf("reply to %v, want the connected peer", got)
		}
	})
}

// The file stays its owner's, to use beside the handle and after it.
func TestOpenLeavesFile(t *testing.T) {
	l := newLAN(t)
	file := newSocket(t, l.near, unix.AF_INET, unix.SOCK_DGRAM, 0)
	settings := []struct{ level, name int }{
		{unix.SOL_SOCKET, unix.SO_BROADCAST}, {unix.SOL_IP, unix.IP_MULTICAST_ALL}, {unix.SOL_UDP, unix.UDP_GRO},
	}
	values := func() (values [3]int) {
		conntest.OnFile(t, file, func(fd int) (err error) {
			for i, s := range settings {
				if values[i], err = unix.GetsockoptInt(fd, s.level, s.name); err != nil {
					return err
				}
			}
			return nil
		})
		return values
	}
	conntest.OnFile(t, file, func(fd int) error {
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
			unix.Bind(fd, &unix.SockaddrInet4{}))
	})
	before := values()
	c := conntest.Open(t, file)
	if after := values(); after != before {
		t.Errorf("broadcast, multicast and coalescing were %v and are %v", before, after)
	}
	peer := listenIn(t, l.far, "udp4", ":0")
	to := &unix.SockaddrInet4{Port: int(peer.LocalAddr().Port()), Addr: families[0].far.As4()}
	send := func(payload string) {
		conntest.OnFile(t, file, func(fd int) error { return unix.Sendto(fd, []byte(payload), 0, to) })
	}
	send("beside the handle")
	conntest.Send(t, peer, conntest.Expect(t, peer, "beside the handle").Reply([]byte("answer")))
	conntest.Expect(t, c, "answer")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	send("after the handle")
	conntest.Send(t, peer, conntest.Expect(t, peer, "after the handle").Reply([]byte("answer")))
	await.Until(t, "the answer", func() bool {
		answered := false
		conntest.OnFile(t, file, func(fd int) error {
			buf := make([]byte, 100)
			n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			answered = err == nil && string(buf[:n]) == "answer"
			return nil
		})
		return answered
	})
}
