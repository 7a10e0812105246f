package library

import (
	"net"
	"net/netip"

	"github.com/miekg/dns"

	"example.com/datagram/bench/internal/child"
)

// dnsServer answers every question with one address.
func dnsServer(_ *child.Args, _ *child.Counts, listen Listen) (Half, error) {
	c, err := listen()
	if err != nil {
		return Half{}, err
	}
	addr := net.IPv4(192, 0, 2, 7)
	started, ended := make(chan struct{}), make(chan struct{})
	server := &dns.Server{
		PacketConn:        c,
		NotifyStartedFunc: func() { close(started) },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, question *dns.Msg) {
			answer := new(dns.Msg).SetReply(question)
			header := dns.RR_Header{Name: question.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}
			answer.Answer = []dns.RR{&dns.A{Hdr: header, A: addr}}
			_ = w.WriteMsg(answer) // dnsperf tells what it did not get
		}),
	}
	go func() {
		defer close(ended)
		if err := server.ActivateAndServe(); err != nil {
			child.Fatal(err)
		}
	}()
	<-started
	return Half{
		Addr: netip.MustParseAddrPort(c.LocalAddr().String()),
		Close: func() {
			_ = server.Shutdown()
			<-ended
		},
	}, nil
}
