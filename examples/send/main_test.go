package main

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"example.com/datagram"
	"example.com/datagram/examples/internal/program"
)

// listen starts the other program and returns the port that it listens on.
func listen(t *testing.T, args ...string) (listener *program.Process, port string) {
	t.Helper()
	listener = program.Start(t, program.BuildIn(t, "../listen"), append([]string{"-port", "0"}, args...)...)
	addr, _, _ := strings.Cut(listener.After("listening on "), " ")
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return listener, port
}

// expect compares what the listener prints about datagrams, but for their senders'
// addresses.
func expect(t *testing.T, listener *program.Process, want ...string) {
	t.Helper()
	out, code := listener.Wait()
	if code != 0 {
		t.Errorf("exit code %d of listen", code)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(want) {
		t.Fatalf("listen printed\n%s\nwant %q", out, want)
	}
	for i, line := range lines {
		sender, rest, ok := strings.Cut(line, " to ")
		if _, err := netip.ParseAddrPort(sender); err != nil || !ok || rest != want[i] {
			t.Errorf("listen printed %q, want a sender and %q", line, want[i])
		}
	}
}

// loopback returns the name of the loopback interface.
func loopback(t *testing.T) string {
	t.Helper()
	ifi, err := datagram.InterfaceByAddr(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	return ifi.Name
}

func TestMulticast(t *testing.T) {
	const group = "239.192.7.2"
	lo, send := loopback(t), program.Build(t)
	for _, test := range []struct{ name, args string }{
		{name: "any source"},
		{name: "one source", args: "-source " + sender(t)},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"-group", group, "-interface", lo, "-count", "3"}, strings.Fields(test.args)...)
			listener, port := listen(t, args...)
			to := group + ":" + port
			out, code := program.Run(t, "", send, "-to", to, "-interface", lo, "-ttl", "2", "hello", "world")
			if want := "sent 2 of 2 datagrams to " + to + "\n"; code != 0 || out != want {
				t.Fatalf("exit code %d, printed %q, want %q", code, out, want)
			}
			if out, code := program.Run(t, "a line\n", send, "-to", to, "-interface", lo); code != 0 {
				t.Fatalf("exit code %d\n%s", code, out)
			}
			expect(t, listener, group+`: "hello"`, group+`: "world"`, group+`: "a line"`)
		})
	}
}

// sender is the address that this host sends to groups from on the loopback interface.
func sender(t *testing.T) string {
	t.Helper()
	conn, err := datagram.Listen(t.Context(), "udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ifi, err := net.InterfaceByName(loopback(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetMulticastInterface(ifi); err != nil {
		t.Fatal(err)
	}
	if err := conn.Connect(netip.MustParseAddrPort("239.192.7.2:9")); err != nil {
		t.Fatal(err)
	}
	return conn.LocalAddr().Addr().String()
}

func TestBroadcast(t *testing.T) {
	listener, port := listen(t, "-count", "1")
	send, to := program.Build(t), "127.255.255.255:"+port

	out, code := program.Run(t, "", send, "-to", to, "hello")
	if code != 1 || !strings.Contains(out, "needs -broadcast") {
		t.Errorf("exit code %d without -broadcast\n%s", code, out)
	}
	if out, code := program.Run(t, "", send, "-to", to, "-broadcast", "hello"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	expect(t, listener, `127.255.255.255: "hello"`)
}

func TestFailures(t *testing.T) {
	send := program.Build(t)
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"", 2, "Usage"},
		{"-to 127.0.0.1:9 -ttl 256 x", 2, "Usage"},
		{"-to nonsense x", 1, "missing port"},
		{"-to 127.0.0.1:9 -interface nonsense x", 1, "nonsense"},
		{"-to 239.192.7.2:9 -interface nonsense x", 1, "nonsense"},
	} {
		out, code := program.Run(t, "", send, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("send %s: exit code %d, want %d with %q\n%s", test.args, code, test.code, test.says, out)
		}
	}
}
