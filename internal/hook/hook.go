// Package hook is how datagramtest reaches what package datagram does not
// export.
package hook

import "example.com/datagram/internal/socket"

// WithNetwork returns a datagram.Option. The handle opens its sockets on what wrap
// makes of the network that it would open them on otherwise. Package
// datagram sets it.
var WithNetwork func(wrap func(socket.Network) socket.Network) any
