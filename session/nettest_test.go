package session_test

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/net/nettest"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// TestNetConn runs the conformance tests of x/net that apply to datagrams, in another process, since the
// package can select only with go test's own flag. BasicIO and PingPong need the end of a stream, and
// FutureTimeout needs every datagram of a flood.
func TestNetConn(t *testing.T) {
	const applicable = "^TestNetConnPairs$/^(RacyRead|RacyWrite|ReadTimeout|WriteTimeout|PastTimeout|PresentTimeout|CloseTimeout|ConcurrentMethods)$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", applicable)
	cmd.Env = append(os.Environ(), "DATAGRAM_NETTEST=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestNetConnPairs is what TestNetConn runs: two sessions, each the other's peer.
func TestNetConnPairs(t *testing.T) {
	if os.Getenv("DATAGRAM_NETTEST") == "" {
		t.Skip("TestNetConn runs it")
	}
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		var handles [2]*datagram.Conn
		var listeners [2]*session.Listener
		for i := range handles {
			handles[i] = conntest.Loopback(t)
			listeners[i] = listen(t, session.Config{}, handles[i])
		}
		stop = func() {
			for i := range handles {
				listeners[i].Shutdown(conntest.EndedContext(t))
				handles[i].Close()
			}
		}
		// The first session is opened by the other handle, the second by the first session.
		conntest.Send(t, handles[1], datagram.To(handles[0].LocalAddr(), nil))
		var conns [2]*session.Conn
		for i := range conns {
			conns[i] = accept(t, listeners[i])
			conntest.ExpectRead(t, deadlineless{conns[i]}, "")
			if i == 0 {
				write(t, conns[0], "")
			}
		}
		return conns[0], conns[1], stop, nil
	})
}
