// Package hook is how datagramtest reaches what package datagram does not
// export.
package hook

import "example.com/datagram/internal/socket"

// Both return a datagram.Option. Package datagram sets them.
var (
	// WithNetwork has a handle open its sockets on a network instead of the system's.
	WithNetwork func(socket.Network) any
	// WrapNetwork has it open them on what wrap makes of its network, whichever option comes first.
	WrapNetwork func(wrap func(socket.Network) socket.Network) any
)
