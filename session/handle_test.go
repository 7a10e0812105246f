package session_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// TestHandle serves peers from the goroutine that receives, with state for each, until they say goodbye.
func TestHandle(t *testing.T) {
	ended := make(chan error, 4)
	s := serve(t, session.Config{Backlog: 1, Handle: func(c *session.Conn, d datagram.Datagram) {
		defer d.Release()
		n, _ := c.Data().(int)
		c.SetData(n + 1)
		if n == 0 {
			go func() { ended <- conntest.Err(c.Read(nil)) }()
		}
		if string(d.Payload) == "bye" {
			conntest.ExpectError(t, "Close", c.Close(), nil)
			return
		}
		write(t, c, strconv.Itoa(n)+string(d.Payload))
	}})
	accepted := waiting(t, "Accept", func() error { return conntest.Err(s.Accept()) })
	peers := []*net.UDPConn{conntest.SocketTo(t, s.conn), conntest.SocketTo(t, s.conn)}
	for range 2 {
		for n := range 3 {
			for _, peer := range peers {
				write(t, peer, "x")
				conntest.ExpectRead(t, peer, strconv.Itoa(n)+"x")
			}
		}
		for _, peer := range peers {
			write(t, peer, "bye")
			expect(t, "Read", ended, net.ErrClosed)
		}
	}
	if stats := s.Stats(); stats.Opened != 4 || stats.Closed != 4 || stats.Received != 16 || stats.Delivered != 16 {
		t.Errorf("%+v", stats)
	}
	conntest.ExpectError(t, "Close", s.Close(), nil)
	expect(t, "Accept", accepted, net.ErrClosed)
}

// TestHandleClosesSession closes a session while more datagrams of its peer are in the batch: they open the next.
func TestHandleClosesSession(t *testing.T) {
	texts := make(chan string, 10)
	conn := conntest.Loopback(t)
	peer := conntest.SocketTo(t, conn)
	for i := range cap(texts) {
		write(t, peer, strconv.Itoa(i))
	}
	l := listen(t, session.Config{Handle: func(c *session.Conn, d datagram.Datagram) {
		texts <- string(d.Payload)
		c.Close()
	}}, conn)
	for i := range cap(texts) {
		if text := await.Value(t, "Handle", texts); text != strconv.Itoa(i) {
			t.Errorf("datagram %d is %q", i, text)
		}
	}
	await.Until(t, "the last Close", func() bool { return l.Stats().Closed == 10 })
	if stats := l.Stats(); stats.Opened != 10 || stats.Delivered != 10 {
		t.Errorf("%+v", stats)
	}
}

func TestHandlePanics(t *testing.T) {
	s := serve(t, session.Config{Handle: func(*session.Conn, datagram.Datagram) { panic("broken") }})
	write(t, conntest.SocketTo(t, s.conn), "bad")
	if _, err := s.Accept(); err == nil || !strings.Contains(err.Error(), "panicked: broken") {
		t.Errorf("Accept: %v", err)
	}
	if s.conn.Active() {
		t.Error("still receiving")
	}
}
