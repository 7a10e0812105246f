package main

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// dig gets its answer from a name server behind the relay.
func TestRelayDig(t *testing.T) {
	t.Parallel()
	dig, server := testenv.Program(t, "dig"), loopback(t)
	go func() {
		b := make([]byte, 65535)
		for {
			n, from, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			// RFC 1035, section 4.1.1: a response that refuses.
			b[2] |= 0x80
			b[3] = b[3]&0xf0 | 5
			_, _ = server.WriteToUDPAddrPort(b[:n], from)
		}
	}()
	p, address := serveJSON(t, "relay", "127.0.0.1:0", server.LocalAddr().String())
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	out, code := program.Run(t, "", dig, "@127.0.0.1", "-p", port, "+tries=1", "+time=30", "example.com")
	if code != 0 || !strings.Contains(out, "status: REFUSED") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	needSignals(t)
	r := decode[relayResult](t, "summary", last(stop(t, p, os.Interrupt, 0)))
	if r.Opened != 1 || r.ToServer != 1 || r.ToClient != 1 || r.Failed+r.Refused+r.Lost != 0 {
		t.Errorf("%+v", r)
	}
}

// Each client has a port of its own towards the server, and gets its own answers.
func TestRelaySessions(t *testing.T) {
	needSignals(t)
	t.Parallel()
	server := loopback(t)
	p, address := serveJSON(t, "relay", "--sessions", "2", "127.0.0.1:0", server.LocalAddr().String())
	clients := []net.Conn{dialTo(t, address), dialTo(t, address)}
	seen := make(map[string]bool)
	for _, round := range []string{"first", "second"} {
		for i, client := range clients {
			request := round + " of " + client.LocalAddr().String()
			if _, err := client.Write([]byte(request)); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1000)
			n, from, err := server.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:n]) != request {
				t.Fatalf("client %d: %q, %v", i, b[:n], err)
			}
			seen[from.String()] = true
			if _, err := server.WriteToUDPAddrPort([]byte("answer to "+request), from); err != nil {
				t.Fatal(err)
			}
			if got := read(t, client); got != "answer to "+request {
				t.Errorf("client %d: %q", i, got)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d ports for 2 clients", len(seen))
	}
	// A third one is refused. A datagram of the first shows that the relay has seen the third's.
	for _, client := range []net.Conn{dialTo(t, address), clients[0]} {
		if _, err := client.Write([]byte("last")); err != nil {
			t.Fatal(err)
		}
	}
	read(t, server)
	r := decode[relayResult](t, "summary", last(stop(t, p, os.Interrupt, 0)))
	if r.Opened != 2 || r.Refused != 1 || r.ToServer != 5 || r.ToClient != 4 {
		t.Errorf("%+v", r)
	}
}

// A session that is idle ends, and the next datagram of its client opens another.
func TestRelayIdle(t *testing.T) {
	t.Parallel()
	server := loopback(t)
	_, address := serveJSON(t, "relay", "--idle", "1ms", "127.0.0.1:0", server.LocalAddr().String())
	client := dialTo(t, address)
	ports := make(map[string]bool)
	for len(ports) < 2 {
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		// A session that ends meanwhile drops it.
		if err := server.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, from, err := server.ReadFromUDPAddrPort(make([]byte, 10)); err == nil {
			ports[from.String()] = true
		}
	}
}
