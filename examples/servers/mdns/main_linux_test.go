package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Tests{M: m}.Run()) }

// The clients run on a host beside the one that answers.
func TestRealClients(t *testing.T) {
	dig, scan := testenv.Program(t, "dig"), testenv.Program(t, "mdns-scan")
	path := program.Build(t)
	host, other := netns.New(t), netns.New(t)
	ours, theirs := netns.Link(host, other)
	host.Addresses(ours, "192.0.2.1/24", "2001:db8::1/64")
	other.Addresses(theirs, "192.0.2.2/24")
	other.IP("route add 224.0.0.0/4 dev %s", theirs.Name)

	var listener *datagram.Conn
	var server, scanner *program.Process
	other.Do(func() {
		listener = conntest.Listen(t, "udp4", group.String())
		if err := listener.JoinGroup(group.Addr(), theirs); err != nil {
			t.Fatal(err)
		}
	})
	host.Do(func() { server = program.Start(t, path, "-name", "demo", "-interface", ours.Name) })
	server.After("answering for demo.local. on " + ours.Name)
	if m := hear(t, listener); len(m.Answer) < 6 || m.Answer[0].Header().Ttl == 0 {
		t.Errorf("announcement: %v", m)
	}

	other.Do(func() { scanner = program.Start(t, scan) })
	for !strings.Contains(scanner.Line(), "demo._http._tcp.local") {
	}
	// dig drops answers that come from another address than it asked, as all answers to a group do.
	for question, want := range map[string]string{
		"demo.local A":              "192.0.2.1",
		"DEMO.local AAAA":           "2001:db8::1",
		"demo._http._tcp.local SRV": "0 0 80 demo.local.",
		"_http._tcp.local PTR":      "demo._http._tcp.local.",
	} {
		args := append(strings.Fields(question), "-p", "5353", "@192.0.2.1", "+short", "+timeout=20", "+tries=1")
		if out := other.Run(dig, args...); !strings.Contains(out, want+"\n") {
			t.Errorf("dig %s: %q, want %s", question, out, want)
		}
	}

	server.Signal(syscall.SIGTERM)
	if out, code := server.Wait(); code != 0 || out != "" {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for m := hear(t, listener); m.Answer[0].Header().Ttl != 0; m = hear(t, listener) { // until the goodbye
	}
}

// hear returns the next response that another host hears.
func hear(t *testing.T, listener *datagram.Conn) *dns.Msg {
	t.Helper()
	for {
		m := new(dns.Msg)
		d := await.Value(t, "a response", listener.Recv())
		err := m.Unpack(d.Payload)
		d.Release()
		if err != nil {
			t.Fatal(err)
		}
		if m.Response {
			return m
		}
	}
}
