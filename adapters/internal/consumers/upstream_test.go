package consumers_test

import (
	"testing"

	"example.com/datagram/internal/testing/upstream"
)

// TestUpstreamDNS runs the tests of the server of miekg/dns over handles.
func TestUpstreamDNS(t *testing.T) {
	const file, module = "server_test.go", "github.com/miekg/dns"
	upstream.Test(t, module, []upstream.Edit{
		{File: file, Old: `"context"`, New: `"context"; "example.com/datagram"`},
		{
			File: file, Old: `pc, err := net.ListenPacket("udp", laddr)` + "\n",
			New: `handle, err := datagram.Listen(context.Background(), "udp", laddr)` + "\n",
		},
		{
			File: file, Old: "	return RunLocalServer(pc, nil, opts...)\n}\n\nfunc RunLocalPacketConnServer",
			New: "	return RunLocalServer(handle.PacketConn(), nil, opts...)\n}\n\nfunc RunLocalPacketConnServer",
		},
	}, module, "-run", "Serv|Shutdown|Exchange|Truncat")
}
