package session_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

func TestBadConfig(t *testing.T) {
	conn := conntest.Loopback(t)
	for _, test := range []struct {
		config session.Config
		says   string
	}{
		{session.Config{Backlog: -1}, "Config.Backlog: -1"},
		{session.Config{Queue: -2}, "Config.Queue: -2"},
		{session.Config{Queue: math.MaxInt}, fmt.Sprintf("Config.Queue: %d exceeds 1048576", math.MaxInt)},
		{session.Config{MaxSessions: math.MinInt}, "Config.MaxSessions"},
	} {
		err := conntest.Err(session.Listen(test.config, conn))
		conntest.CheckErrno(t, err, syscall.EINVAL)
		if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v does not say %q", err, test.says)
		}
	}
	// The refused calls have not taken over the handle.
	for _, config := range []session.Config{
		{Backlog: math.MaxInt, Queue: 1 << 20, MaxSessions: math.MaxInt, IdleTimeout: math.MaxInt64},
		{IdleTimeout: math.MinInt64},
	} {
		s := server{listen(t, config, conn), conn}
		_, c := s.peer(t, "first")
		conntest.ExpectRead(t, c, "first")
		conntest.ExpectError(t, "Shutdown", s.Shutdown(conntest.EndedContext(t)), context.Canceled)
	}
}

func TestBadHandles(t *testing.T) {
	good := conntest.Loopback(t)
	closed := conntest.Loopback(t)
	closed.Close()
	receiving := conntest.Loopback(t)
	receiving.Recv()
	for _, test := range []struct {
		name  string
		conns []*datagram.Conn
		want  error
	}{
		{"none", nil, syscall.EINVAL},
		{"nil", []*datagram.Conn{good, nil}, syscall.EINVAL},
		{"twice", []*datagram.Conn{good, good}, syscall.EINVAL},
		{"receiving", []*datagram.Conn{good, receiving}, syscall.EALREADY},
		{"closed", []*datagram.Conn{good, closed, receiving}, net.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			write(t, conntest.SocketTo(t, good), test.name)
			err := conntest.Err(session.Listen(session.Config{}, test.conns...))
			conntest.CheckErrno(t, err, test.want)
			ch := good.Recv() // given back at once, and nothing is lost
			if text := conntest.Text(t, ch); text != test.name {
				t.Errorf("received %q", text)
			}
			good.StopRecv()
		})
	}
}

func TestOtherFamilies(t *testing.T) {
	conn, peer := conntest.UnixPair(t)
	conntest.CheckErrno(t, conntest.Err(session.Listen(session.Config{}, conn)), errors.ErrUnsupported)
	write(t, peer, "kept")
	if text := conntest.Text(t, conn.Recv()); text != "kept" {
		t.Errorf("received %q", text)
	}
}

// TestHandleWithoutSocket checks that Listen binds a handle that is not bound.
func TestHandleWithoutSocket(t *testing.T) {
	conn := conntest.New(t)
	s := server{listen(t, session.Config{}, conn), conn}
	_, c := s.peer(t, "first")
	conntest.ExpectRead(t, c, "first")
}

func TestNilContexts(t *testing.T) {
	s := serve(t, session.Config{})
	_, c := s.peer(t, "first")
	var none context.Context
	for _, call := range []func() error{
		func() error { return conntest.Err(s.AcceptContext(none)) },
		func() error { return s.Shutdown(none) },
		func() error { return conntest.Err(c.Receive(none)) },
	} {
		await.Return(t, "a call with a nil context", func() { conntest.CheckErrno(t, call(), syscall.EINVAL) })
	}
	s.peer(t, "it still accepts")
}

// TestExtremeDeadlines sets deadlines that no clock reaches.
func TestExtremeDeadlines(t *testing.T) {
	s := serve(t, session.Config{})
	peer, c := s.peer(t, "first")
	c.SetDeadline(time.Unix(math.MinInt64, 0))
	if err := conntest.Err(c.Read(nil)); err == nil {
		t.Error("a deadline of long ago has not passed")
	}
	c.SetDeadline(time.Unix(1<<60, 0))
	conntest.ExpectRead(t, deadlineless{c}, "first")
	write(t, c, "answer")
	conntest.ExpectRead(t, peer, "answer")
}

// deadlineless keeps the deadline as it is.
type deadlineless struct{ *session.Conn }

func (deadlineless) SetReadDeadline(time.Time) error { return nil }
