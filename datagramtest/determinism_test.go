package datagramtest_test

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// Random outcomes on a path do not depend on concurrent traffic, and the same seed gives the same outcomes.
func TestDeterministic(t *testing.T) {
	link := datagramtest.Link{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1, Corrupt: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond}
	run := func(seed uint64, each int) map[netip.AddrPort][]string {
		fates := make(map[netip.AddrPort][]string)
		simulate(t, seed, link, func(w *world) {
			receiver := w.at(there, datagram.WithReadBuffer(100<<20))
			var wg sync.WaitGroup
			for i := range 4 {
				sender := w.at(netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}))
				wg.Go(func() {
					for range each {
						_, _ = sender.TrySend(datagram.To(receiver.LocalAddr(), []byte("payload")))
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
			for _, e := range w.Log() {
				fates[e.From] = append(fates[e.From], fmt.Sprint(e.Number, e.Action, e.Time))
			}
		})
		return fates
	}
	if a, b := fmt.Sprint(run(1, 200)), fmt.Sprint(run(1, 200)); a != b {
		t.Errorf("the same seed did\n%s\nand\n%s", a, b)
	}
	if a, b := fmt.Sprint(run(1, 200)), fmt.Sprint(run(2, 200)); a == b {
		t.Error("another seed did the same")
	}
}

// Simultaneous arrivals happen in the order of addresses and, on one path, of sending.
func TestSameInstant(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Second, Duplicate: 1}, func(w *world) {
		receiver := w.at(beyond)
		first, second := w.conn(w.Listen(w.Context(), "udp", "10.0.0.1:7")), w.conn(w.Listen(w.Context(), "udp", "10.0.0.1:8"))
		third := w.at(there)
		w.send(third, receiver, "e")
		w.send(second, receiver, "c")
		w.send(first, receiver, "a")
		w.send(first, receiver, "b")
		w.send(second, receiver, "d")
		w.expect(receiver, "a", "a", "b", "b", "c", "c", "d", "d", "e", "e")
	})
}

// A call at the instant of an arrival sees it, even if the network's timer has not run yet.
func TestNothingIsDue(t *testing.T) {
	for range 20 {
		for name, look := range map[string]func(w *world) bool{
			"Stats": func(w *world) bool { return w.Stats().Delivered == 1 },
			"Log":   func(w *world) bool { return len(w.Log()) == 2 },
			"Close": func(w *world) bool { w.Close(); return w.Stats().Delivered == 1 },
		} {
			synctest.Test(t, func(t *testing.T) {
				w := &world{t, datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Second})}
				defer w.Close()
				a, b := w.at(here), w.at(there)
				w.send(a, b, "x")
				time.Sleep(time.Second)
				if !look(w) {
					t.Errorf("%s: %v", name, w.Log())
				}
			})
		}
	}
}

// Hosts share loopback addresses, but not what happens on them.
func TestLoopbackOfHosts(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Rate: 1000}, func(w *world) {
		var conns []*datagram.Conn
		for _, addr := range []netip.Addr{here, there} {
			host, err := w.AddHost(addr)
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, w.conn(host.Listen(w.Context(), "udp", "127.0.0.1:9")))
		}
		start := time.Now()
		for _, c := range conns {
			w.send(c, c, strings.Repeat("x", 1000))
		}
		for _, c := range conns {
			w.next(c)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("one waited for the other: %v", took)
		}
		for _, e := range w.Log() {
			if e.Number != 0 {
				t.Error(e)
			}
		}
	})
}

// Time would run backwards, and nothing would ever arrive.
func TestNetworkFromOutside(t *testing.T) {
	n := datagramtest.NewNetwork(1, datagramtest.Link{})
	synctest.Test(t, func(t *testing.T) {
		defer func() {
			if v := fmt.Sprint(recover()); !strings.Contains(v, "bubble") {
				t.Errorf("panic %v", v)
			}
		}()
		c, err := n.Listen(t.Context(), "udp", "10.0.0.1:1")
		t.Errorf("%v, %v", c, err)
	})
}
