//go:build !linux

package conntest

import (
	"net"
	"testing"

	"example.com/datagram"
)

// UnixPair skips the test, since other systems have no AF_UNIX that behaves the same.
func UnixPair(tb testing.TB, _ ...datagram.Option) (*datagram.Conn, net.Conn) {
	tb.Helper()
	tb.Skip("needs the Unix sockets of Linux")
	return nil, nil
}

// BreakSocket skips the test.
func BreakSocket(tb testing.TB, _ *datagram.Conn) {
	tb.Helper()
	tb.Skip("needs dup3 of Linux")
}
