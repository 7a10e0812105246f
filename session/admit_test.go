package session_test

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

func TestAdmit(t *testing.T) {
	conn := conntest.Loopback(t)
	l := listen(t, session.Config{Admit: func(d datagram.Datagram) bool {
		if string(d.Payload) == "cookie" {
			return true
		}
		conntest.ExpectError(t, "TryQueue", conn.TryQueue(d.Reply([]byte("show me the cookie"))), nil)
		return false
	}}, conn)
	peer := conntest.SocketTo(t, conn)
	for range 2 {
		write(t, peer, "hello")
		conntest.ExpectRead(t, peer, "show me the cookie")
	}
	write(t, peer, "cookie")
	c := accept(t, l)
	conntest.ExpectRead(t, c, "cookie")
	write(t, peer, "hello")
	conntest.ExpectRead(t, c, "hello") // admitted once, admitted while the session lasts
	if s := l.Stats(); s.RefusedAdmit != 2 || s.Opened != 1 || s.Received != 2 {
		t.Errorf("%+v", s)
	}
}

// TestAdmitReleases checks that what Admit has released can still be read.
func TestAdmitReleases(t *testing.T) {
	s := serve(t, session.Config{Admit: func(d datagram.Datagram) bool {
		d.Release()
		return true
	}})
	_, c := s.peer(t, "hello")
	conntest.ExpectRead(t, c, "hello")
}

// TestAdmitWithoutRoom checks that Admit is not asked for what cannot be.
func TestAdmitWithoutRoom(t *testing.T) {
	calls := make(chan string, 10)
	s := serve(t, session.Config{MaxSessions: 1, Admit: func(d datagram.Datagram) bool {
		calls <- string(d.Payload)
		return true
	}})
	s.peer(t, "first")
	write(t, conntest.SocketTo(t, s.conn), "second")
	s.received(t, 2)
	if len(calls) != 1 || s.Stats().RefusedMax != 1 {
		t.Errorf("%d calls, %+v", len(calls), s.Stats())
	}
}

// TestAdmitCalls closes the listener, and then the handle, from inside Admit.
func TestAdmitCalls(t *testing.T) {
	var s server
	ready := make(chan struct{})
	s = serve(t, session.Config{Admit: func(d datagram.Datagram) bool {
		<-ready
		if string(d.Payload) == "handle" {
			s.conn.Close()
		} else {
			s.Close()
		}
		return true
	}})
	close(ready)
	write(t, conntest.SocketTo(t, s.conn), "listener")
	conntest.ExpectError(t, "Accept", conntest.Err(s.Accept()), net.ErrClosed)
	s.received(t, 1)
	if stats := s.Stats(); stats.RefusedClosed != 1 || stats.Opened != 0 {
		t.Errorf("%+v", stats)
	}

	again := server{listen(t, session.Config{Admit: func(datagram.Datagram) bool { return s.conn.Close() == nil }}, s.conn), s.conn}
	write(t, conntest.SocketTo(t, s.conn), "handle")
	_, err := again.Accept()
	if err == nil { // it came before the handle's end was noticed
		_, err = again.Accept()
	}
	conntest.ExpectError(t, "Accept", err, net.ErrClosed)
	await.Until(t, "the end of the session", func() bool { return again.Stats().Closed == 1 })
}

// TestAdmitPanics checks that a panic in Admit ends receiving with an error that tells it, and nothing else.
func TestAdmitPanics(t *testing.T) {
	for name, fails := range map[string]func(){
		"panicked: broken": func() { panic("broken") },
		"ended":            runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, session.Config{Admit: func(d datagram.Datagram) bool {
				if string(d.Payload) == "bad" {
					fails()
				}
				return true
			}})
			_, c := s.peer(t, "good")
			conntest.ExpectRead(t, c, "good")
			result := reading(t, c)
			write(t, conntest.SocketTo(t, s.conn), "bad")
			err := await.Value(t, "Read", result)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("Read: %v", err)
			}
			if _, err := s.Accept(); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("Accept: %v", err)
			}
			ch := s.conn.Recv()
			write(t, conntest.SocketTo(t, s.conn), "for the program")
			if text := conntest.Text(t, ch); text != "for the program" {
				t.Errorf("received %q", text)
			}
		})
	}
}
