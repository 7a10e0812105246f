package pion

import (
	"context"
	"net"
	"slices"
	"syscall"

	"github.com/pion/transport/v5"

	"example.com/datagram"
)

// control is a function that package net calls with a socket before it is bound.
type control = func(network, address string, c syscall.RawConn) error

func (n *Net) listen(ctx context.Context, network, address string, f control) (*datagram.Conn, error) {
	return datagram.Listen(ctx, network, address, n.with(f)...)
}

// dial returns a handle that is connected to raddr, and bound to laddr unless that is nil.
func (n *Net) dial(ctx context.Context, network string, laddr *net.UDPAddr, raddr string, f control) (*datagram.Conn, error) {
	if laddr == nil {
		return datagram.Dial(ctx, network, raddr, n.with(f)...)
	}
	peer, err := datagram.Resolve(ctx, network, raddr)
	if err != nil {
		return nil, err
	}
	c, err := n.listen(ctx, network, hostPort(laddr), f)
	if err != nil {
		return nil, err
	}
	if err := c.Connect(peer); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (n *Net) with(f control) []datagram.Option {
	if f == nil {
		return n.options
	}
	return append(slices.Clip(n.options), datagram.WithControl(f))
}

// udpConn returns the adapter of a new handle.
func udpConn(c *datagram.Conn, err error) (transport.UDPConn, error) {
	if err != nil {
		return nil, err
	}
	return c.UDPConn(), nil
}

func isUDP(network string) bool { return network == "udp" || network == "udp4" || network == "udp6" }

// hostPort returns an address in the form of [datagram.Listen]; nil is any.
func hostPort(addr *net.UDPAddr) string {
	if addr == nil {
		return ":0"
	}
	return addr.String()
}
