package session_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// TestForgedPeers sends from some hundred thousand addresses, or a million with DATAGRAM_LONG=1, which Linux
// allows on the loopback interface. Memory stays at its bound, every datagram is counted, and a peer that was
// there before is served.
func TestForgedPeers(t *testing.T) {
	peers := 200_000
	switch {
	case os.Getenv("DATAGRAM_LONG") == "1":
		peers = 1_000_000
	case testing.Short():
		peers = 20_000
	}
	const max, round = 1000, 500 // a round fits the largest receive buffer of ordinary users
	s := serve(t, session.Config{MaxSessions: max, Backlog: max / 2, IdleTimeout: -1}, datagram.WithReadBuffer(4<<20))
	honest, c := s.peer(t, "first")
	conntest.ExpectRead(t, c, "first")

	stranger := conntest.Listen(t, "udp4", "0.0.0.0:0")
	forged := make([]datagram.Datagram, round)
	var settled int64
	for sent := 0; sent < peers; sent += round {
		for i := range forged {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], 127<<24|1<<20|uint32(sent+i))
			forged[i] = datagram.To(s.conn.LocalAddr(), []byte("let me in"))
			forged[i].Meta.Local = netip.AddrFrom4(ip)
		}
		before := taken(s.Stats())
		if _, err := stranger.SendBatch(background, forged); err != nil {
			t.Fatal(err)
		}
		s.received(t, before+round)
		text := fmt.Sprint(sent)
		write(t, honest, text)
		conntest.ExpectRead(t, c, text)
		switch {
		case sent < 5*round: // the backlog is full
		case s.Stats().Sessions < max:
			for range round / 10 {
				s.Accept()
			}
		case settled == 0:
			settled = heap()
		}
	}
	heapWithin(t, settled+2<<20)
	stats := s.Stats()
	if rounds := uint64(peers / round); stats.Received != 1+(max-1)+rounds || stats.Opened != max || stats.Sessions != max ||
		stats.RefusedBacklog == 0 || stats.RefusedMax == 0 || taken(stats) != 1+uint64(peers)+rounds {
		t.Errorf("%d peers: %+v", peers, stats)
	}
	if handle := s.conn.Stats(); handle.Delivered != taken(stats) {
		t.Errorf("the handle delivered %d, the listener took %d", handle.Delivered, taken(stats))
	}
}

// TestMemoryOfSession checks what a session takes with its first datagram unread.
func TestMemoryOfSession(t *testing.T) {
	const sessions, round = 10_000, 100 // a round fits any receive buffer
	s := serve(t, session.Config{Backlog: round}, datagram.WithReadBuffer(4<<20))
	stranger := conntest.Listen(t, "udp4", "0.0.0.0:0")
	conns := make([]*session.Conn, 0, sessions)
	before := heap()
	for len(conns) < sessions {
		for i := range round {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], 127<<24|1<<20|uint32(len(conns)+i))
			d := datagram.To(s.conn.LocalAddr(), []byte("a hundred bytes or so are what many a protocol sends in a datagram, sometimes more, often less....."))
			d.Meta.Local = netip.AddrFrom4(ip)
			if err := stranger.Send(background, d); err != nil {
				t.Fatal(err)
			}
		}
		for range round {
			c, err := s.AcceptContext(background)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
	}
	heapWithin(t, before+sessions<<10)
	for _, c := range conns {
		c.Read(nil)
	}
	t.Logf("a session takes %d bytes", (heap()-before)/sessions)
}
