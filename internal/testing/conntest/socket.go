package conntest

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
)

// SocketTo returns a socket of package net that is connected to c, so that nothing of the package under test
// is between it and the system.
func SocketTo(tb testing.TB, c *datagram.Conn) *net.UDPConn {
	tb.Helper()
	s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(Reachable(c)))
	return closed(tb, s, err)
}

// Socket returns an unconnected socket of package net.
func Socket(tb testing.TB) *net.UDPConn {
	tb.Helper()
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	return closed(tb, s, err)
}

// closed closes a socket when the test ends.
func closed[C net.Conn](tb testing.TB, s C, err error) C {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

// OnFile calls f with the descriptor of a file or handle, without changing its mode.
func OnFile(tb testing.TB, file syscall.Conn, f func(fd int) error) {
	tb.Helper()
	raw, err := file.SyscallConn()
	if err != nil {
		tb.Fatal(err)
	}
	Control(tb, raw, f)
}

// Control calls f with the descriptor of a raw connection.
func Control(tb testing.TB, raw syscall.RawConn, f func(fd int) error) {
	tb.Helper()
	var err error
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil || err != nil {
		tb.Fatal(e, err)
	}
}

// AddrOf returns the address of a socket of package net.
func AddrOf(s net.PacketConn) netip.AddrPort { return s.LocalAddr().(*net.UDPAddr).AddrPort() }

// WriteNumbers sends the numbers from first to end-1 as text, one per datagram.
func WriteNumbers(tb testing.TB, s net.Conn, first, end int) {
	tb.Helper()
	for i := first; i < end; i++ {
		if _, err := fmt.Fprint(s, i); err != nil {
			tb.Fatal(err)
		}
	}
}

// ExpectNumbers receives the datagrams of WriteNumbers.
func ExpectNumbers(tb testing.TB, ch <-chan datagram.Datagram, first, end int) {
	tb.Helper()
	for i := first; i < end; i++ {
		if got := Text(tb, ch); got != fmt.Sprint(i) {
			tb.Fatalf("received %q, want %d", got, i)
		}
	}
}

// Read reads a datagram from a socket of package net.
func Read(tb testing.TB, s net.Conn) string {
	tb.Helper()
	if err := s.SetReadDeadline(time.Now().Add(await.Limit)); err != nil {
		tb.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := s.Read(b)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b[:n])
}

// ExpectRead is Read for a datagram with the given text.
func ExpectRead(tb testing.TB, s net.Conn, want string) {
	tb.Helper()
	if got := Read(tb, s); got != want {
		tb.Fatalf("read %q, want %q", got, want)
	}
}
