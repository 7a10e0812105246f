package datagramtest_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.Tests{M: m}) }

var (
	here   = netip.MustParseAddr("10.0.0.1")
	there  = netip.MustParseAddr("10.0.0.2")
	beyond = netip.MustParseAddr("10.0.0.3")
	all    netip.Prefix
)

func only(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// A world is a simulated network in a bubble.
type world struct {
	*testing.T
	*datagramtest.Network
}

// simulate runs a test in a bubble with a network.
func simulate(t *testing.T, seed uint64, link datagramtest.Link, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := datagramtest.NewNetwork(seed, link)
		t.Cleanup(func() {
			checkBooks(t, n.Stats())
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			if s := n.Stats(); s.Held != 0 {
				t.Errorf("held after Close: %v", s)
			}
		})
		test(&world{t, n})
	})
}

func checkBooks(t *testing.T, s datagramtest.Stats) {
	t.Helper()
	if s.Sent+s.Duplicated != s.Delivered+s.Lost+s.Refused+s.Overflowed+s.Held {
		t.Errorf("does not add up: %v", s)
	}
}

// conn closes a handle at the end of the test.
func (w *world) conn(c *datagram.Conn, err error) *datagram.Conn {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

// at listens at an address, on a port that the network chooses.
func (w *world) at(addr netip.Addr, opts ...datagram.Option) *datagram.Conn {
	w.Helper()
	return w.conn(w.Listen(w.Context(), "udp", netip.AddrPortFrom(addr, 0).String(), opts...))
}

// send sends a payload now.
func (w *world) send(from, to *datagram.Conn, payload string) {
	w.Helper()
	w.sendTo(from, to.LocalAddr(), payload)
}

func (w *world) sendTo(from *datagram.Conn, to netip.AddrPort, payload string) {
	w.Helper()
	if _, err := from.TrySend(datagram.To(to, []byte(payload))); err != nil {
		w.Fatal(err)
	}
}

// next receives the next datagram, however long it takes.
func (w *world) next(c *datagram.Conn) datagram.Datagram {
	w.Helper()
	d, ok := <-c.Recv()
	if !ok {
		w.Fatal("receiving has ended: ", c.Err())
	}
	return d
}

// expect receives payloads in this order.
func (w *world) expect(c *datagram.Conn, payloads ...string) {
	w.Helper()
	for _, want := range payloads {
		if got := string(w.next(c).Payload); got != want {
			w.Fatalf("received %q, want %q", got, want)
		}
	}
}

// nothing checks that nothing arrives within an hour.
func (w *world) nothing(c *datagram.Conn) {
	w.Helper()
	select {
	case d, ok := <-c.Recv():
		w.Errorf("received %q, %v", d.Payload, ok)
	case <-time.After(time.Hour):
	}
}

// want checks the network's counters. Those that are not given must be 0.
func (w *world) want(want datagramtest.Stats) {
	w.Helper()
	if got := w.Stats(); got != want {
		w.Errorf("%v\nwant %v", got, want)
	}
}
