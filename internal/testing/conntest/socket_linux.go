package conntest

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/testenv"
)

// SocketFile returns a new socket as a file that is closed at the end of the test. It is in blocking mode,
// unless kind says otherwise.
func SocketFile(tb testing.TB, domain, kind, protocol int) *os.File {
	tb.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, os.ErrPermission) {
		testenv.Skip(tb, os.NewSyscallError("socket", err).Error())
	}
	if err != nil {
		tb.Fatal(os.NewSyscallError("socket", err))
	}
	return closedFile(tb, fd)
}

func closedFile(tb testing.TB, fd int) *os.File {
	tb.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	tb.Cleanup(func() { f.Close() })
	return f
}

// UnixFiles returns the two ends of a connected pair of Unix datagram sockets, in blocking mode.
func UnixFiles(tb testing.TB) (*os.File, *os.File) {
	tb.Helper()
	return unixFiles(tb, 0)
}

func unixFiles(tb testing.TB, mode int) (*os.File, *os.File) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|mode, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return closedFile(tb, fds[0]), closedFile(tb, fds[1])
}

// UnixConns returns handles on the two ends of a Unix socket pair.
func UnixConns(tb testing.TB, opts ...datagram.Option) (*datagram.Conn, *datagram.Conn) {
	tb.Helper()
	a, b := unixFiles(tb, unix.SOCK_NONBLOCK)
	defer a.Close()
	defer b.Close()
	return Open(tb, a, opts...), Open(tb, b, opts...)
}

// UnixPair returns a handle on one end of a Unix socket pair, and the other end.
func UnixPair(tb testing.TB, opts ...datagram.Option) (*datagram.Conn, net.Conn) {
	tb.Helper()
	ours, theirs := unixFiles(tb, unix.SOCK_NONBLOCK)
	defer ours.Close()
	defer theirs.Close()
	peer, err := net.FileConn(theirs)
	return Open(tb, ours, opts...), closed(tb, peer, err)
}

// BreakSocket replaces the handle's descriptor by a file that is not a socket, so that receiving ends with
// ENOTSOCK.
func BreakSocket(tb testing.TB, c *datagram.Conn) {
	tb.Helper()
	null, err := os.Open(os.DevNull)
	if err != nil {
		tb.Fatal(err)
	}
	defer null.Close()
	OnFile(tb, c, func(fd int) error { return unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC) })
}
