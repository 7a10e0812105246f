package session_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// TestStress opens, uses and ends sessions from many goroutines, while others take snapshots, each of which must add
// up. Sessions end by Close, by idleness and with the listener, often at the same time.
func TestStress(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		a, b := conntest.Loopback(t), conntest.Loopback(t)
		l := listen(t, session.Config{IdleTimeout: 5 * time.Millisecond, Backlog: 8, MaxSessions: 20, Queue: 4}, a, b)
		var stop atomic.Bool
		var wg sync.WaitGroup
		for _, conn := range []*datagram.Conn{a, b} {
			for range 15 {
				peer := conntest.SocketTo(t, conn)
				wg.Go(func() {
					for !stop.Load() {
						peer.Write([]byte("question"))
						time.Sleep(rand.N(8 * time.Millisecond))
					}
				})
			}
		}
		wg.Go(func() {
			for {
				accepted, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { use(t, accepted.(*session.Conn)) })
			}
		})
		for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
			checkBooks(t, l.Stats())
		}
		if s := l.Stats(); s.Idled == 0 || s.Closed == 0 {
			t.Logf("of %d sessions %d ended idle, %d by Close", s.Opened, s.Idled, s.Closed)
		}
		l.Shutdown(conntest.EndedContext(t))
		stop.Store(true)
		wg.Wait()
	}
}

// use does with a session what comes to mind, until it ends.
func use(t *testing.T, c *session.Conn) {
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			buf := make([]byte, 10)
			for c.Err() == nil {
				switch rand.IntN(12) {
				case 0:
					c.SetDeadline(time.Now().Add(rand.N(time.Millisecond)))
				case 1:
					c.SetDeadline(time.Time{})
				case 2:
					c.Close()
				case 3:
					for d := range c.Recv() {
						d.Release()
					}
				case 4:
					c.Write(buf)
				default:
					if n, err := c.Read(buf); err == nil && string(buf[:n]) != "question" {
						t.Errorf("read %q", buf[:n])
					}
				}
			}
		})
	}
	wg.Wait()
	if _, err := c.Write(nil); err == nil {
		t.Error("wrote to a session that has ended")
	}
	var conn net.Conn = c
	conn.Close()
}
