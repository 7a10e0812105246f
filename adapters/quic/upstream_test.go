package quic_test

import (
	"os"
	"testing"

	_ "github.com/quic-go/quic-go/http3" // puts what quic-go's tests import into go.sum

	"example.com/datagram/internal/testing/upstream"
)

const module = "github.com/quic-go/quic-go"

// TestUpstreamSysConn runs quic-go's tests of control messages on a handle.
func TestUpstreamSysConn(t *testing.T) {
	const file = "sys_conn_oob_test.go"
	upstream.Test(t, module, []upstream.Edit{
		{File: file, Old: `"golang.org/x/net/ipv4"`, New: `"golang.org/x/net/ipv4"; "context"; "example.com/datagram"`},
		{
			File: file, Old: "udpConn, err := net.ListenUDP(network, addr)\n",
			New: "handle, err := datagram.Listen(context.Background(), network, addr.String())\n",
		},
		{File: file, Old: "t.Cleanup(func() { udpConn.Close() })", New: "udpConn := handle.UDPConn(); t.Cleanup(func() { udpConn.Close() })"},
	}, module, "-run", "ECN|SysConn")
}

// TestUpstreamSelf runs quic-go's own tests of connections and streams over handles, but for those that fail on
// a slow machine, over any connection.
func TestUpstreamSelf(t *testing.T) {
	if os.Getenv("DATAGRAM_LONG") != "1" {
		t.Skip("takes a minute; DATAGRAM_LONG=1 runs it")
	}
	t.Setenv("TIMESCALE_FACTOR", "20") // quic-go's patience
	const file, files = "integrationtests/self/self_test.go", "integrationtests/self/*_test.go"
	upstream.Test(t, module, []upstream.Edit{
		{File: file, Old: `"github.com/quic-go/quic-go"` + "\n", New: `"github.com/quic-go/quic-go"; "example.com/datagram"` + "\n"},
		{File: file, Old: "func TestMain(", New: `func newHandle(t testing.TB) *datagram.UDPConn {
	t.Helper()
	handle, err := datagram.Listen(context.Background(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { handle.Close() })
	return handle.UDPConn()
}

func TestMain(`},
		{File: files, Old: "quic.Listen(newUDPConnLocalhost(t)", New: "quic.Listen(newHandle(t)"},
		{File: files, Old: "quic.Dial(ctx, newUDPConnLocalhost(t)", New: "quic.Dial(ctx, newHandle(t)"},
		{File: files, Old: "quic.Transport{Conn: newUDPConnLocalhost(t)", New: "quic.Transport{Conn: newHandle(t)"},
	}, module+"/integrationtests/self", "-run", "^Test(Handshake|Bidirectional|Unidirectional|Multiplex|Datagram|Transport|PacketDrops|EarlyData)")
}
