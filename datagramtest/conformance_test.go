//go:build !windows

// Some errors have other numbers on Windows, which the suite expects.

package datagramtest

import (
	"net"
	"testing"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/socket/sockettest"
)

// TestConformance runs the suite of all implementations on a simulated network.
func TestConformance(t *testing.T) {
	for _, batch := range []bool{true, false} {
		t.Run(map[bool]string{true: "batches", false: "single"}[batch], func(t *testing.T) {
			n := NewNetwork(1, Link{})
			t.Cleanup(func() { n.Close() })
			sockettest.Test(t, sockettest.Factory{
				Listen: func(t testing.TB, network, address string, config socket.Config) (socket.Socket, error) {
					return opener{network: n}.Listen(t.Context(), network, address, config)
				},
				Config:    socket.Config{Limits: socket.Limits{Receive: buffer.Size, Batch: batch}},
				Lacks:     map[string]string{"File": "there is no descriptor"},
				Loopback:  &net.Interface{Index: loopbackIndex, Name: loopbackName},
				Multicast: n.Host().Interface(),
			})
		})
	}
}
