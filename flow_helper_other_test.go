//go:build !linux

package datagram_test

import (
	"net"
	"testing"

	"example.com/datagram"
)

// Elsewhere there is no AF_UNIX that behaves the same, or no dup3.
func unixPair(t *testing.T, _ ...datagram.Option) (*datagram.Conn, net.Conn) {
	t.Helper()
	t.Skip("needs the Unix sockets of Linux")
	return nil, nil
}

func breakSocket(t *testing.T, _ *datagram.Conn) {
	t.Helper()
	t.Skip("needs dup3 of Linux")
}
