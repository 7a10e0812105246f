// Package hook gives packages datagramtest and session access to what package datagram does not export.
package hook

import (
	"context"

	"example.com/datagram/internal/socket"
)

// Package datagram sets these variables. The first two return a datagram.Option; conn is a *datagram.Conn.
var (
	// WithNetwork makes a handle open its sockets on the given network instead of the system's.
	WithNetwork func(socket.Network) any
	// WrapNetwork makes a handle open its sockets on wrap(network), whatever the order of the
	// options.
	WrapNetwork func(wrap func(socket.Network) socket.Network) any
	// Detach moves the payload of a *datagram.Datagram to memory of its own, lent until Release,
	// and releases the memory that it shared with others.
	Detach func(d any)
	// Unlend takes the lease from a *datagram.Datagram, whose Release then does nothing.
	Unlend func(d any)
	// ServeBatch is conn.ServeBatch with a handler of type func([]datagram.Datagram). It calls claimed
	// when the handle can no longer be received from in other ways, and before anything is received.
	// stop ends this session of receiving, and no other, at once.
	ServeBatch func(ctx context.Context, conn, handle any, claimed func(stop func())) error
)
