package socket_test

import (
	"testing"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/systems"
	"example.com/datagram/internal/testing/sockettest"
)

// TestConformance runs the suite on the system's implementation, with all offloads
// and with ever fewer, and on the portable one.
func TestConformance(t *testing.T) {
	for _, test := range implementations {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			t.Cleanup(func() {
				if after := descriptors(t); after > before {
					t.Errorf("%d descriptors open, %d before", after, before)
				}
			})
			sockettest.Test(t, sockettest.Factory{Listen: listen, Config: test.config, Lacks: test.lacks()})
		})
	}
}

func listen(t testing.TB, network, address string, config socket.Config) (socket.Socket, error) {
	return socket.Kernel{}.Listen(t.Context(), network, address, config)
}

var implementations = []implementation{
	{"all", limits(true, true, true)},
	{"no segmentation", limits(true, false, true)},
	{"no coalescing", limits(false, true, true)},
	{"batches", limits(false, false, true)},
	{"single", limits(false, false, false)},
	{"portable", socket.Config{Portable: true, Limits: socket.Limits{Receive: buffer.Size}}},
}

type implementation struct {
	name   string
	config socket.Config
}

func limits(coalesce, segment, batch bool) socket.Config {
	return socket.Config{Limits: socket.Limits{Receive: buffer.Size, Coalesce: coalesce, Segment: segment, Batch: batch}}
}

// lacks returns what the implementation cannot do on this system.
func (i implementation) lacks() map[string]string {
	lacks := make(map[string]string)
	without := func(reason string, names ...string) {
		for _, name := range names {
			lacks[name] = reason
		}
	}
	if !systems.Drops.IPv4.Here() || i.config.Portable {
		without("the system's count is not known", "Drops")
	}
	if !systems.Linux.Here() {
		without("only Linux has all of 127.0.0.0/8 on the loopback interface",
			"AllMetadata", "ReceiveLocal", "ReceiveHopLimit", "ReceiveTrafficClass", "ReceiveTime", "SendLocal", "MulticastSource")
		without("the system's own rules", "ConnectedElsewhere", "SendInterface", "Refused", "MembershipErrors", "Options", "RefusedOption")
	}
	if !systems.Disconnect.IPv4.Here() {
		without("who disconnects would forget the local address", "Connect")
	}
	if systems.OpenBSD.Here() {
		without("no dual-stack sockets", "DualStack", "ConnectDualStack")
	}
	if !systems.Open.IPv4.Here() {
		without("sockets cannot be duplicated", "File")
	}
	return lacks
}

// openSocket returns a socket on the loopback interface. The end of the test closes it.
func openSocket(tb testing.TB, config socket.Config) socket.Socket {
	tb.Helper()
	s, err := listen(tb, "udp4", "127.0.0.1:0", config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}
