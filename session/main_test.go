package session_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
	"example.com/datagram/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Tests{M: m}) }

var background = context.Background()

// A server is a listener on one handle.
type server struct {
	*session.Listener
	conn *datagram.Conn
}

// serve returns a server on the loopback interface.
func serve(tb testing.TB, config session.Config, opts ...datagram.Option) server {
	tb.Helper()
	conn := conntest.Loopback(tb, opts...)
	return server{listen(tb, config, conn), conn}
}

// listen returns a listener. At the end of the test its books must add up, and the handles must be given back.
func listen(tb testing.TB, config session.Config, conns ...*datagram.Conn) *session.Listener {
	tb.Helper()
	l, err := session.Listen(config, conns...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		checkBooks(tb, l.Stats())
		l.Shutdown(conntest.EndedContext(tb))
		await.Return(tb, "Shutdown", func() { conntest.ExpectError(tb, "Shutdown", l.Shutdown(background), nil) })
		if s := l.Stats(); s.Sessions != 0 || s.Held != 0 {
			tb.Errorf("after Shutdown: %+v", s)
		}
		checkBooks(tb, l.Stats())
	})
	return l
}

func checkBooks(tb testing.TB, s session.Stats) {
	tb.Helper()
	if s.Opened != s.Sessions+s.Idled+s.Closed || s.Received != s.Delivered+s.Dropped+s.Discarded+s.Held {
		tb.Errorf("does not add up: %+v", s)
	}
}

// accept returns the next session.
func accept(tb testing.TB, l *session.Listener) *session.Conn {
	tb.Helper()
	c, err := l.AcceptContext(await.Context(tb))
	if err != nil {
		tb.Fatalf("Accept: %v; %+v", err, l.Stats())
	}
	return c
}

// peer returns a socket that has sent the text to the server, and its session, from which nothing has been read.
func (s server) peer(tb testing.TB, text string) (*net.UDPConn, *session.Conn) {
	tb.Helper()
	peer := conntest.SocketTo(tb, s.conn)
	write(tb, peer, text)
	c := accept(tb, s.Listener)
	if c.Peer() != conntest.AddrOf(peer) {
		tb.Fatalf("accepted the session of %v, want that of %v", c.Peer(), conntest.AddrOf(peer))
	}
	return peer, c
}

func write(tb testing.TB, c net.Conn, text string) {
	tb.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		tb.Fatalf("Write: %d, %v", n, err)
	}
}

// received waits until the server has received n datagrams, of sessions or not.
func (s server) received(tb testing.TB, n uint64) {
	tb.Helper()
	await.Until(tb, "datagrams", func() bool { return taken(s.Stats()) >= n })
}

// taken is how many datagrams a listener has taken from its handles.
func taken(s session.Stats) uint64 {
	return s.Received + s.RefusedBacklog + s.RefusedMax + s.RefusedAdmit + s.RefusedClosed
}

// waiting starts a call that must wait, and returns a channel for its error.
func waiting(tb testing.TB, what string, f func() error) <-chan error {
	tb.Helper()
	result := make(chan error, 1)
	go func() { result <- f() }()
	await.NotYet(tb, what, result)
	return result
}

// reading starts a Read that must wait.
func reading(tb testing.TB, c net.Conn) <-chan error {
	tb.Helper()
	return waiting(tb, "Read", func() error { return conntest.Err(c.Read(make([]byte, 10))) })
}

// expect waits for an error.
func expect(tb testing.TB, what string, result <-chan error, want error) {
	tb.Helper()
	conntest.ExpectError(tb, what, await.Value(tb, what, result), want)
}

const long = time.Hour
