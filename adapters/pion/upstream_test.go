package pion_test

import (
	"testing"

	"example.com/datagram/internal/testing/upstream"
)

const module = "github.com/pion/transport/v5"

// TestUpstreamNet runs the tests of Pion's own Net on a Net of this package.
func TestUpstreamNet(t *testing.T) {
	t.Parallel()
	const file = "stdnet/net_test.go"
	upstream.Test(t, module, []upstream.Edit{
		{File: file, Old: "package stdnet", New: "package stdnet_test"}, // to import what imports stdnet
		{File: file, Old: `"github.com/pion/logging"`, New: `"github.com/pion/logging"; "example.com/datagram"; "example.com/datagram/adapters/pion"`},
		{File: file, Old: "NewNet()", New: "pion.NewNet()"},
		{File: file, Old: "conn.(*net.UDPConn)", New: "conn.(*datagram.UDPConn)"},
		{File: file, Old: "lo0String", New: `"lo"`},
		{File: file, Old: "udpString", New: `"udp"`},
	}, module+"/stdnet")
}

// TestUpstreamUDP runs the tests of Pion's connections over one UDP socket, which is a handle's. For
// batches, Pion lets golang.org/x/net read from the descriptor, which must not coalesce then.
func TestUpstreamUDP(t *testing.T) {
	t.Parallel()
	const file = "udp/conn.go"
	upstream.Test(t, module, []upstream.Edit{
		{File: file, Old: `"golang.org/x/net/ipv4"`, New: `"golang.org/x/net/ipv4"; "example.com/datagram"`},
		{
			File: file, Old: "conn, err := net.ListenUDP(network, laddr)\n",
			New: `offload := datagram.OffloadAll
				if lc.Batch.Enable {
					offload = datagram.OffloadBatch
				}
				handle, err := datagram.Listen(context.Background(), network, laddr.String(), datagram.WithOffload(offload))
`,
		},
		{File: file, Old: "	if lc.ReadBufferSize > 0 {", New: "	conn := handle.UDPConn()\n\n	if lc.ReadBufferSize > 0 {"},
	}, module+"/udp")
}
