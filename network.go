package datagram

import (
	"context"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// Package datagramtest uses the first two hooks to run handles on simulated networks and to inject
// faults, package session the others to keep datagrams and to receive.
func init() {
	hook.WithNetwork = func(network socket.Network) any {
		return Option(func(c *config) error {
			c.network = network
			return nil
		})
	}
	hook.WrapNetwork = func(wrap func(socket.Network) socket.Network) any {
		return Option(func(c *config) error {
			c.wrappers = append(c.wrappers, wrap)
			return nil
		})
	}
	hook.Detach = func(d any) { d.(*Datagram).detach() }
	hook.Unlend = func(d any) { d.(*Datagram).lease = buffer.Lease{} }
	hook.ServeBatch = func(ctx context.Context, conn, handle any, claimed func(stop func())) error {
		c := conn.(*Conn)
		return c.serve(ctx, c.recv.together(handle.(func([]Datagram))), claimed)
	}
}
