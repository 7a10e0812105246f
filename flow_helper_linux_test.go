package datagram_test

import (
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

// unixPair returns a handle on one end of a Unix socket pair, and the other end.
func unixPair(t *testing.T, opts ...datagram.Option) (*datagram.Conn, net.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	peer, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	if err := peer.SetDeadline(time.Now().Add(longest)); err != nil {
		t.Fatal(err)
	}
	c, err := datagram.Open(ours, opts...)
	if err != nil {
		t.Fatal(err)
	}
	closedAtEnd(t, c)
	return c, peer
}

// breakSocket puts a file that is no socket in the place of the handle's
// descriptor, so that receiving ends with ENOTSOCK.
func breakSocket(t *testing.T, c *datagram.Conn) {
	t.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Dup3(int(null.Fd()), int(fd), unix.O_CLOEXEC) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}
