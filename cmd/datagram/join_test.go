package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	const group = "239.192.7.9"
	lo := loopbackName(t)
	for _, args := range []string{"", "--source " + sourceOnLoopback(t, group)} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			p := start(t, append([]string{"join", "-o", "json", "--interface", lo, "--count", "2", group + ":0"}, strings.Fields(args)...)...)
			l := decode[listening](t, "listening", p.Line())
			if l.Group != group || len(l.Interfaces) != 1 || l.Interfaces[0] != lo {
				t.Fatalf("joined %+v", l)
			}
			_, port, err := net.SplitHostPort(l.Address)
			if err != nil {
				t.Fatal(err)
			}
			to := group + ":" + port
			if got, want := expect(t, 0, "send", "--interface", lo, to, "hello", "world"), "sent 2 of 2 datagrams to "+to+"\n"; got != want {
				t.Errorf("printed %q, want %q", got, want)
			}
			for _, want := range []string{"hello", "world"} {
				if d := decode[record](t, "datagram", p.Line()); d.To != group || d.Interface != lo || *d.Text != want {
					t.Errorf("got %+v, want %q", d, want)
				}
			}
			if rest, code := p.Wait(); code != 0 {
				t.Errorf("exit code %d\n%s", code, rest)
			}
		})
	}
}

// Without the name of an interface it joins on some.
func TestJoinEverywhere(t *testing.T) {
	needSignals(t)
	t.Parallel()
	p := start(t, "-o", "json", "join", "239.192.7.10:0")
	if l := decode[listening](t, "listening", p.Line()); len(l.Interfaces) == 0 {
		t.Errorf("joined %+v", l)
	}
	stop(t, p, os.Interrupt, 0)
}

// sourceOnLoopback returns the address that this host sends from to a group by the loopback interface.
func sourceOnLoopback(t *testing.T, group string) string {
	t.Helper()
	p, address := serveJSON(t, "join", "--interface", loopbackName(t), "--count", "1", group+":0")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, 0, "send", "--interface", loopbackName(t), group+":"+port, "x")
	host, _, err := net.SplitHostPort(decode[record](t, "datagram", p.Line()).From)
	if err != nil {
		t.Fatal(err)
	}
	return host
}
