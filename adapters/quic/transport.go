// Package quic lets quic-go send and receive through package datagram:
//
//	handle, err := datagram.Listen(ctx, "udp", ":443")
//	if err != nil {
//		return err
//	}
//	defer handle.Close()
//	transport := quic.NewTransport(handle)
//	defer transport.Close()
//	listener, err := transport.Listen(tlsConfig, nil)
package quic

import (
	"errors"
	"net"

	"github.com/quic-go/quic-go"

	"example.com/datagram"
)

// NewTransport returns a transport of quic-go that uses a handle, which must be
// bound. The transport enlarges the handle's buffers in the system to 7 MiB, as
// far as the system lets it, and sets don't-fragment. Where the system can, it
// uses GSO and ECN.
//
// On a simulated network, which has no descriptor, it uses neither, and does not
// search for a larger MTU.
//
// Closing the transport does not close the handle.
func NewTransport(c *datagram.Conn) *quic.Transport {
	if _, err := c.SyscallConn(); errors.Is(err, errors.ErrUnsupported) {
		return &quic.Transport{Conn: struct{ withoutDescriptor }{c.PacketConn()}}
	}
	return &quic.Transport{Conn: c.UDPConn()}
}

// withoutDescriptor is what quic-go uses of a connection that has no SyscallConn method. Where it finds
// the method, it insists on a descriptor.
type withoutDescriptor interface {
	net.PacketConn
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}
