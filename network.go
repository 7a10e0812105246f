package datagram

import (
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// Package datagramtest puts simulated networks and injected faults beneath handles.
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
}
