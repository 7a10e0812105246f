package datagram_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
)

// A dialled handle is the net.Conn that net.Resolver wants. By the missing or present PacketConn methods the
// resolver tells datagrams from a stream.
func TestResolverDialsHandles(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		server := w.listen(t)
		ctx, cancel := context.WithCancel(t.Context())
		served := await.Go(func() { server.Serve(ctx, func(d datagram.Datagram) { answerName(t, server, d) }) })
		defer func() {
			cancel()
			<-served
		}()
		dialled := 0
		resolver := net.Resolver{
			PreferGo: true,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				dialled++
				c, err := datagram.Dial(ctx, "udp", server.LocalAddr().String(), w.opts(t)...)
				if err != nil {
					return nil, err
				}
				return c.PacketConn(), nil
			},
		}
		addrs, err := resolver.LookupNetIP(await.Context(t), "ip4", "name.example.")
		if err != nil || len(addrs) != 1 || addrs[0].String() != "192.0.2.7" || dialled == 0 {
			t.Errorf("%v, %v after %d dials", addrs, err, dialled)
		}
	})
}

// answerName answers a question with the address 192.0.2.7.
func answerName(t *testing.T, server *datagram.Conn, d datagram.Datagram) {
	defer d.Release()
	var m dnsmessage.Message
	if err := m.Unpack(d.Payload); err != nil || len(m.Questions) != 1 {
		t.Errorf("question %+v, %v", m, err)
		return
	}
	m.Response, m.Additionals = true, nil
	m.Answers = []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   &dnsmessage.AResource{A: [4]byte{192, 0, 2, 7}},
	}}
	answer, err := m.Pack()
	if err == nil {
		err = server.Send(t.Context(), d.Reply(answer))
	}
	if err != nil {
		t.Error(err)
	}
}
