package load

import (
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"example.com/datagram/bench/internal/child"
	"golang.org/x/sys/unix"
)

// server echoes what answer lets through, and knows its clients.
type server struct {
	conn *net.UDPConn
	mu   sync.Mutex
	seen map[netip.AddrPort]int
}

func newServer(t *testing.T, answer func(n int) bool) *server {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{conn: c, seen: make(map[netip.AddrPort]int)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for n := 0; ; n++ {
			size, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.seen[from]++
			s.mu.Unlock()
			if answer(n) {
				_, _ = c.WriteToUDPAddrPort(buf[:size], from)
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return s
}

// run runs clients until they have received that many replies, and returns how long it took.
func run(t *testing.T, s *server, a child.Args, replies uint64) (*clients, time.Duration) {
	counts := child.NewCounts()
	a.Size = 100
	fds, err := dial(a.Clients, s.conn.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	c, err := newClients(&a, counts, fds)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, fd := range append(fds, c.epoll) {
			unix.Close(fd)
		}
	}()
	c.record()
	begin := time.Now()
	done := make(chan error, 1)
	go func() { done <- c.loop() }()
	for counts.Received() < replies {
		select {
		case err := <-done:
			t.Fatal("the loop ended:", err)
		case <-time.After(time.Millisecond):
		}
	}
	took := time.Since(begin)
	counts.Stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return c, took
}

func all(int) bool { return true }

func TestEveryClientHasItsTurn(t *testing.T) {
	for _, a := range []child.Args{
		{Clients: 40, Flight: 16}, {Clients: 5, Flight: 20}, {Clients: 1, Flight: 64}, {Clients: 40, Flight: 16, Pace: 50_000},
	} {
		s := newServer(t, all)
		run(t, s, a, 1000)
		s.mu.Lock()
		if len(s.seen) != a.Clients {
			t.Errorf("%+v: %d clients sent", a, len(s.seen))
		}
		s.mu.Unlock()
	}
}

func TestPace(t *testing.T) {
	const pace, replies = 5000, 1000
	c, took := run(t, newServer(t, all), child.Args{Clients: 10, Flight: 100, Pace: pace}, replies)
	// With random gaps this many requests take 200 ms with a standard deviation of 6.
	if least := 170 * time.Millisecond; took < least {
		t.Errorf("%d requests took %v, want at least %v", replies, took, least)
	}
	if len(c.hist.Pairs()) == 0 {
		t.Error("no round trips recorded")
	}
}

// A request that is late counts from when it was due: a server that stalls must show.
func TestLateRequestsCountFromWhenTheyWereDue(t *testing.T) {
	const stall = 50 * time.Millisecond
	s := newServer(t, func(n int) bool {
		if n == 0 {
			time.Sleep(stall)
		}
		return true
	})
	c, _ := run(t, s, child.Args{Clients: 1, Flight: 2, Pace: 10_000}, 500)
	late := 0
	for _, p := range c.hist.Pairs() {
		if time.Duration(p[0]) > stall/5 {
			late += int(p[1])
		}
	}
	if late < 100 { // some 500 were due during the stall, with room for two
		t.Errorf("%d of 500 replies were late", late)
	}
}

func TestClientsGiveUpWaiting(t *testing.T) {
	const flight = 8
	// At a pace, the requests that are not lost may all be answered before the clients give up more than one.
	for pace, want := range map[int]uint64{0: flight, 1000: 1} {
		s := newServer(t, func(n int) bool { return n >= flight })
		c, _ := run(t, s, child.Args{Clients: 4, Flight: flight, Pace: pace}, 100)
		if got := c.resent.Load(); got < want {
			t.Errorf("pace %d: %d requests lost, want at least %d", pace, got, want)
		}
	}
}
