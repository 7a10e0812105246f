package consumers_test

import (
	"net"
	"testing"

	"github.com/miekg/dns"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// serveDNS runs a server of miekg/dns over a handle. It answers every question with the address 192.0.2.7.
func serveDNS(t *testing.T, c *datagram.Conn) {
	t.Helper()
	started := make(chan struct{})
	server := &dns.Server{
		PacketConn:        c.PacketConn(),
		NotifyStartedFunc: func() { close(started) },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
			answer := new(dns.Msg).SetReply(question)
			answer.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.IPv4(192, 0, 2, 7),
			}}
			if err := w.WriteMsg(answer); err != nil {
				t.Errorf("answering: %v", err)
			}
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ActivateAndServe() }()
	await.Closed(t, "the start of the server", started)
	t.Cleanup(func() {
		await.Return(t, "Shutdown", func() {
			if err := server.Shutdown(); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		if err := await.Value(t, "the end of the server", ended); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
}

// TestDNS lets the client of miekg/dns ask its server, both over handles.
func TestDNS(t *testing.T) {
	server := conntest.Loopback(t)
	serveDNS(t, server)
	conn := &dns.Conn{Conn: dial(t, server.LocalAddr().String())}
	for range 3 {
		question := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
		answer, _, err := new(dns.Client).ExchangeWithConn(question, conn)
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Answer) != 1 || !answer.Answer[0].(*dns.A).A.Equal(net.IPv4(192, 0, 2, 7)) {
			t.Errorf("answered %v", answer)
		}
	}
}
