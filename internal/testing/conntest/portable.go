package conntest

import (
	"context"
	"os"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// Portable makes a handle use the implementation for all systems.
func Portable() datagram.Option {
	return hook.WrapNetwork(func(n socket.Network) socket.Network { return portable{n} }).(datagram.Option)
}

type portable struct{ socket.Network }

func (p portable) Listen(ctx context.Context, network, address string, config socket.Config) (socket.Socket, error) {
	config.Portable = true
	return p.Network.Listen(ctx, network, address, config)
}

func (p portable) Open(f *os.File, config socket.Config) (socket.Socket, error) {
	config.Portable = true
	return p.Network.Open(f, config)
}
