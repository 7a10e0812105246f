//go:build !windows

// The suite expects errors that have other numbers on Windows.

package datagramtest

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/sockettest"
)

// TestConformance runs the common suite of all implementations on a simulated network.
func TestConformance(t *testing.T) {
	for name, batch := range map[string]bool{"batches": true, "single": false} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			f := factory(opener{network: n})
			f.Config.Batch = batch
			f.Loopback, f.Multicast = loopbackInterface, n.Host().Interface()
			f.Lacks = map[string]string{"File": "there is no descriptor"}
			sockettest.Test(t, f)
		})
	}
}

// TestConformanceWithFaults runs the suite with faults that any socket may have at any time: it accepts only
// part of a batch, or finds nothing to receive after all.
func TestConformanceWithFaults(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		n := newNetwork(t)
		f := factory(transient(opener{network: n}))
		f.Loopback, f.Multicast = loopbackInterface, n.Host().Interface()
		f.Lacks["File"] = "there is no descriptor"
		sockettest.Test(t, f)
	})
	for name, portable := range map[string]bool{"system": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("the suite of package socket says what else a system lacks")
			}
			f := factory(transient(socket.Kernel{}))
			f.Config.Coalesce, f.Config.Segment, f.Config.Portable = !portable, !portable, portable
			if portable {
				f.Lacks["Drops"] = "the system's count is not known"
			}
			sockettest.Test(t, f)
		})
	}
}

var loopbackInterface = &net.Interface{Index: loopbackIndex, Name: loopbackName}

func newNetwork(t *testing.T) *Network {
	n := NewNetwork(1, Link{})
	t.Cleanup(func() { n.Close() })
	return n
}

func factory(n socket.Network) sockettest.Factory {
	return sockettest.Factory{
		Listen: func(t testing.TB, network, address string, config socket.Config) (socket.Socket, error) {
			return n.Listen(t.Context(), network, address, config)
		},
		Config: socket.Config{Limits: socket.Limits{Receive: buffer.Size, Batch: true}},
		Lacks:  map[string]string{"Counters": "a send that was cut short takes more calls"},
	}
}

func transient(n socket.Network) socket.Network {
	return faultyNetwork{n, NewFaults(
		1,
		Fault{Op: OpSend, Probability: 0.3, Short: 1},
		Fault{Op: OpSend, Probability: 0.1, Err: syscall.EINTR},
		Fault{Op: OpReceive, Probability: 0.1, Err: syscall.EINTR},
		Fault{Op: OpReceive, Probability: 0.02, Err: syscall.EAGAIN},
		Fault{Op: OpReceive, Probability: 0.02, Delay: time.Millisecond},
	)}
}
