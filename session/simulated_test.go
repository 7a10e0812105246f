package session_test

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/session"
)

// A world is a simulated network with a server.
type world struct {
	*testing.T
	server
	network *datagramtest.Network
}

// simulate runs a test in a bubble, where time passes when all goroutines wait.
func simulate(t *testing.T, link datagramtest.Link, config session.Config, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := datagramtest.NewNetwork(1, link)
		t.Cleanup(func() { n.Close() })
		w := &world{T: t, network: n}
		w.conn = w.handle("10.0.0.1:7")
		w.Listener = listen(t, config, w.conn)
		test(w)
	})
}

func (w *world) handle(address string) *datagram.Conn {
	w.Helper()
	c, err := w.network.Listen(w.Context(), "udp", address)
	if err != nil {
		w.Fatal(err)
	}
	return conntest.CloseAtEnd(w, c)
}

// client returns a handle that is connected to the server.
func (w *world) client(i int) *datagram.Conn {
	w.Helper()
	c := w.handle(fmt.Sprintf("10.1.%d.%d:9", i/256, i%256))
	if err := c.Connect(w.conn.LocalAddr()); err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) send(c *datagram.Conn, text string) {
	w.Helper()
	if _, err := c.TrySend(conntest.ToPeer(text)); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// TestIdle checks that a session ends when it is idle, not before, and at most twice as late.
func TestIdle(t *testing.T) {
	const timeout = time.Minute
	simulate(t, datagramtest.Link{}, session.Config{IdleTimeout: timeout}, func(w *world) {
		client := w.client(1)
		w.send(client, "first")
		c := accept(w, w.Listener)
		var last time.Time
		for i := range 100 { // of which none lets it become idle
			time.Sleep(timeout - time.Duration(i)*time.Millisecond - time.Nanosecond)
			if i%2 == 0 {
				w.send(client, "in")
				c.Read(nil)
			} else {
				write(w, c, "out")
			}
			last = time.Now()
			conntest.ExpectBare(w, "Err", c.Err(), nil)
		}
		for { // what came in and has not been read
			_, err := c.Read(nil)
			if err == nil {
				continue
			}
			conntest.ExpectError(w, "Read", err, os.ErrDeadlineExceeded)
			break
		}
		if idle := time.Since(last); idle < timeout || idle > timeout*17/16 {
			w.Errorf("ended after %v", idle)
		}
		conntest.ExpectBare(w, "Err", c.Err(), os.ErrDeadlineExceeded)
		conntest.ExpectError(w, "Write", conntest.Err(c.Write(nil)), os.ErrDeadlineExceeded)
		if s := w.Listener.Stats(); s.Sessions != 0 || s.Idled != 1 || s.Closed != 0 {
			w.Errorf("%+v", s)
		}
		w.send(client, "again")
		if c := accept(w, w.Listener); c.Err() != nil {
			w.Errorf("the next session: %v", c.Err())
		}
	})
}

// TestIdleWhileBusy lets Admit and Handle take long for each datagram of a batch. A session has its time from when the
// turn of its datagram comes.
func TestIdleWhileBusy(t *testing.T) {
	const timeout, peers = 10 * time.Second, 8
	busy := func() { time.Sleep(timeout) }
	for name, config := range map[string]session.Config{
		"Admit":  {Admit: func(datagram.Datagram) bool { busy(); return true }},
		"Handle": {Handle: func(*session.Conn, datagram.Datagram) { busy() }},
	} {
		t.Run(name, func(t *testing.T) {
			config.IdleTimeout = timeout
			simulate(t, datagramtest.Link{}, session.Config{}, func(w *world) {
				handle := w.handle("10.0.0.2:7")
				for i := range peers {
					w.handle(fmt.Sprintf("10.1.0.%d:9", i)).TrySend(datagram.To(handle.LocalAddr(), []byte("first")))
				}
				l := listen(w, config, handle)
				time.Sleep(timeout - 1)
				for range peers {
					if s := l.Stats(); s.Opened > 0 && s.Sessions != 1 { // that opened last
						w.Errorf("%+v", s)
					}
					time.Sleep(timeout)
				}
			})
		})
	}
}

// TestIdleInBacklog checks that sessions that nobody accepts leave the backlog when they are idle.
func TestIdleInBacklog(t *testing.T) {
	simulate(t, datagramtest.Link{}, session.Config{IdleTimeout: time.Minute, Backlog: 2}, func(w *world) {
		for i := range 3 {
			w.send(w.client(i), "first")
		}
		time.Sleep(2 * time.Minute)
		if s := w.Listener.Stats(); s.Idled != 2 || s.RefusedBacklog != 1 || s.Discarded != 2 {
			w.Errorf("%+v", s)
		}
		last := w.client(3)
		w.send(last, "first")
		if c := accept(w, w.Listener); c.Peer() != last.LocalAddr() {
			w.Errorf("accepted the session of %v", c.Peer())
		}
	})
}

// TestNeverIdle checks that a negative time-out is none.
func TestNeverIdle(t *testing.T) {
	simulate(t, datagramtest.Link{}, session.Config{IdleTimeout: -1}, func(w *world) {
		w.send(w.client(1), "first")
		c := accept(w, w.Listener)
		time.Sleep(10_000 * time.Hour)
		conntest.ExpectRead(w, deadlineless{c}, "first")
	})
}

// TestManyIdle lets a thousand sessions fall silent at different times: each ends in time.
func TestManyIdle(t *testing.T) {
	const timeout, sessions = time.Minute, 1000
	simulate(t, datagramtest.Link{}, session.Config{IdleTimeout: timeout, Backlog: sessions}, func(w *world) {
		var wg sync.WaitGroup
		defer wg.Wait()
		for i := range sessions {
			client := w.client(i)
			w.send(client, "first")
			c := accept(w, w.Listener)
			c.Read(nil)
			wg.Go(func() {
				var last time.Time
				for n := range i % 7 {
					time.Sleep(timeout / time.Duration(n+2))
					client.TrySend(conntest.ToPeer("more"))
					last = time.Now()
					c.Read(nil)
				}
				if last.IsZero() {
					return
				}
				_, err := c.Read(nil)
				conntest.ExpectError(w, "Read", err, os.ErrDeadlineExceeded)
				if idle := time.Since(last); idle < timeout || idle > 2*timeout {
					w.Errorf("ended after %v", idle)
				}
			})
		}
		time.Sleep(10 * timeout)
		if s := w.Listener.Stats(); s.Idled != sessions || s.Sessions != 0 {
			w.Errorf("%+v", s)
		}
	})
}

// TestHourOfTraffic lets twenty clients talk to an echo server for an hour, across a network that loses, delays,
// duplicates and reorders. Each fourth falls silent for ten minutes, and gets a new session when it is back.
func TestHourOfTraffic(t *testing.T) {
	link := datagramtest.Link{Loss: 0.1, Duplicate: 0.05, Reorder: 0.1, Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond}
	simulate(t, link, session.Config{IdleTimeout: 2 * time.Minute}, func(w *world) {
		const clients = 20
		var mu sync.Mutex
		sessions := make(map[netip.AddrPort]int)
		var servers, running sync.WaitGroup
		servers.Go(func() {
			for {
				accepted, err := w.Accept()
				if err != nil {
					return
				}
				c := accepted.(*session.Conn)
				mu.Lock()
				sessions[c.Peer()]++
				mu.Unlock()
				servers.Go(func() {
					buf := make([]byte, 100)
					for {
						n, err := c.Read(buf)
						if err != nil {
							conntest.ExpectError(w, "Read", err, os.ErrDeadlineExceeded)
							return
						}
						if want := c.Peer().String(); string(buf[:n]) != want {
							w.Errorf("read %q in the session of %s", buf[:n], want)
						}
						write(w, c, string(buf[:n]))
					}
				})
			}
		})
		for i := range clients {
			client := w.client(i)
			name := client.LocalAddr().String()
			running.Go(func() {
				for start := time.Now(); time.Since(start) < time.Hour; {
					client.TrySend(conntest.ToPeer(name))
					time.Sleep(10 * time.Second)
					if i%4 == 0 && time.Since(start) > 20*time.Minute && time.Since(start) < 21*time.Minute {
						time.Sleep(10 * time.Minute)
					}
				}
				client.StopRecv()
			})
			running.Go(func() {
				answers := 0
				for d := range client.Recv() {
					if string(d.Payload) != name {
						w.Errorf("%s got the answer %q", name, d.Payload)
					}
					answers++
				}
				if answers < 100 {
					w.Errorf("%s got %d answers", name, answers)
				}
			})
		}
		running.Wait()
		time.Sleep(5 * time.Minute)
		w.Listener.Close()
		servers.Wait()
		if len(sessions) != clients {
			w.Errorf("%d peers had sessions", len(sessions))
		}
		for peer, n := range sessions {
			want := 1
			if addr := peer.Addr().As4(); addr[3]%4 == 0 {
				want = 2
			}
			if n != want {
				w.Errorf("%v had %d sessions, want %d", peer, n, want)
			}
		}
		if s := w.Listener.Stats(); s.Idled != s.Opened || s.Dropped != 0 {
			w.Errorf("%+v", s)
		}
	})
}
