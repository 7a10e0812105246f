package datagram_test

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/netns"
)

// newSocket returns a socket of a namespace in a file that the test closes.
func newSocket(t *testing.T, n *netns.Namespace, domain, kind, protocol int) *os.File {
	t.Helper()
	var f *os.File
	n.Do(func() {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		if err != nil {
			t.Fatal(os.NewSyscallError("socket", err))
		}
		f = os.NewFile(uintptr(fd), "socket")
	})
	t.Cleanup(func() { f.Close() })
	return f
}

// onDescriptor calls f with the descriptor of a file, which stays non-blocking.
func onDescriptor(t *testing.T, file *os.File, f func(fd int) error) {
	t.Helper()
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if failed != nil {
		t.Fatal(failed)
	}
}

// openFile is Open. The handle is closed when the test ends.
func openFile(t *testing.T, f *os.File, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	c, err := datagram.Open(f, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOpenRefuses(t *testing.T) {
	n := netns.New(t)
	pipe, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file *os.File
		want error
	}{
		"pipe":           {pipe, syscall.ENOTSOCK},
		"device":         {null, syscall.ENOTSOCK},
		"TCP":            {newSocket(t, n, unix.AF_INET, unix.SOCK_STREAM, 0), syscall.EPROTOTYPE},
		"Unix stream":    {newSocket(t, n, unix.AF_UNIX, unix.SOCK_STREAM, 0), syscall.EPROTOTYPE},
		"Unix seqpacket": {newSocket(t, n, unix.AF_UNIX, unix.SOCK_SEQPACKET, 0), syscall.EPROTOTYPE},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := datagram.Open(test.file); c != nil || !errors.Is(err, test.want) {
				t.Errorf("%v, %v; want %v", c, err, test.want)
			}
			if err := test.file.Close(); err != nil {
				t.Errorf("the file was closed: %v", err)
			}
			if c, err := datagram.Open(test.file); c != nil || err == nil {
				t.Errorf("a closed file opened: %v", c)
			}
		})
	}
	if c, err := datagram.Open(nil); c != nil || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("nil: %v, %v; want EINVAL", c, err)
	}
}

func TestOpenUDPUnbound(t *testing.T) {
	l := newLAN(t)
	peer := listenIn(t, l.far, "udp4", ":0")
	c := openFile(t, newSocket(t, l.near, unix.AF_INET, unix.SOCK_DGRAM, 0))
	if local := c.LocalAddr(); local.IsValid() {
		t.Errorf("bound to %v", local)
	}
	if err := c.Bind(within(t), "udp4", "192.0.2.1:0"); err != nil {
		t.Fatal(err)
	}
	local := c.LocalAddr()
	if local.Addr() != families[0].near || local.Port() == 0 {
		t.Errorf("bound to %v", local)
	}
	if err := c.Bind(within(t), "udp4", "192.0.2.1:0"); !errors.Is(err, syscall.EINVAL) || c.LocalAddr() != local {
		t.Errorf("bind again: %v, want EINVAL", err)
	}
	push(t, c, datagram.To(at(families[0].far, peer), []byte("question")))
	push(t, peer, wantNext(t, peer, "question").Reply([]byte("answer")))
	wantNext(t, c, "answer")

	// Sending binds one that nobody bound.
	c = openFile(t, newSocket(t, l.near, unix.AF_INET, unix.SOCK_DGRAM, 0))
	push(t, c, datagram.To(at(families[0].far, peer), []byte("question")))
	push(t, peer, wantNext(t, peer, "question").Reply([]byte("answer")))
	wantNext(t, c, "answer")

	// So does receiving, in either way.
	for name, receive := range map[string]func(*datagram.Conn){
		"Recv":  func(c *datagram.Conn) { c.Recv() },
		"Serve": func(c *datagram.Conn) { go c.Serve(within(t), func(datagram.Datagram) {}) },
	} {
		c := openFile(t, newSocket(t, l.near, unix.AF_INET6, unix.SOCK_DGRAM, 0))
		receive(c)
		netns.Await(t, name, func() bool { return c.LocalAddr().Port() != 0 && c.Active() })
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
		c := openFile(t, file)
		if c.RemoteAddr() != at(f.far, peer) || c.LocalAddr().Addr() != f.near {
			t.Errorf("%v connected to %v", c.LocalAddr(), c.RemoteAddr())
		}
		if err := pushed(t, c, datagram.To(at(f.far, peer), nil)); !errors.Is(err, syscall.EISCONN) {
			t.Errorf("with a destination: %v, want EISCONN", err)
		}
		push(t, c, datagram.To(netip.AddrPort{}, []byte("question")))
		push(t, peer, wantNext(t, peer, "question").Reply([]byte("answer")))
		if got := wantNext(t, c, "answer").Reply(nil).Addr; got.IsValid() {
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
		onDescriptor(t, file, func(fd int) (err error) {
			for i, s := range settings {
				if values[i], err = unix.GetsockoptInt(fd, s.level, s.name); err != nil {
					return err
				}
			}
			return nil
		})
		return values
	}
	onDescriptor(t, file, func(fd int) error {
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1),
			unix.Bind(fd, &unix.SockaddrInet4{}))
	})
	before := values()
	c := openFile(t, file)
	if after := values(); after != before {
		t.Errorf("broadcast, multicast and coalescing were %v and are %v", before, after)
	}
	peer := listenIn(t, l.far, "udp4", ":0")
	to := &unix.SockaddrInet4{Port: int(peer.LocalAddr().Port()), Addr: families[0].far.As4()}
	send := func(payload string) {
		onDescriptor(t, file, func(fd int) error { return unix.Sendto(fd, []byte(payload), 0, to) })
	}
	send("beside the handle")
	push(t, peer, wantNext(t, peer, "beside the handle").Reply([]byte("answer")))
	wantNext(t, c, "answer")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	send("after the handle")
	push(t, peer, wantNext(t, peer, "after the handle").Reply([]byte("answer")))
	netns.Await(t, "the answer", func() bool {
		answered := false
		onDescriptor(t, file, func(fd int) error {
			buf := make([]byte, 100)
			n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			answered = err == nil && string(buf[:n]) == "answer"
			return nil
		})
		return answered
	})
}

// The owner of the file may make it blocking, which it is for the handle then too.
func TestOpenBlockingFile(t *testing.T) {
	a, b := unixEnds(t)
	file, err := a.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	onDescriptor(t, file, func(fd int) error { return unix.SetNonblock(fd, false) })

	received := a.Recv()
	push(t, b, unnamed("to the blocking one"))
	wantNext(t, a, "to the blocking one")
	for {
		_, err := a.TrySend(unnamed("x"))
		if errors.Is(err, datagram.ErrWouldBlock) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := a.StopRecv(); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-received; ok {
		t.Error("the channel is not closed")
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// unnamed is a datagram without a destination.
func unnamed(payload string) datagram.Datagram {
	return datagram.Datagram{Payload: []byte(payload)}
}
