package datagramtest_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// Of several handles on a port, the most specifically bound one receives, as on Linux.
func TestMostNarrowlyBound(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		first, second := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")
		host, err := w.AddHost(first, second)
		if err != nil {
			t.Fatal(err)
		}
		listen := func(network, address string) *datagram.Conn {
			return w.conn(host.Listen(w.Context(), network, address, datagram.WithReuseAddr()))
		}
		peer, stranger := w.at(here), w.at(there)
		connected := listen("udp4", "10.1.0.1:7")
		bound := listen("udp4", "10.1.0.1:7")
		four, both := listen("udp4", ":7"), listen("udp", ":7")
		if err := connected.Connect(peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			from *datagram.Conn
			to   netip.Addr
			want *datagram.Conn
		}{{peer, first, connected}, {stranger, first, bound}, {peer, second, four}} {
			w.sendTo(test.from, netip.AddrPortFrom(test.to, 7), "x")
			w.expect(test.want, "x")
		}
		four.Close()
		w.sendTo(peer, netip.AddrPortFrom(second, 7), "x")
		w.expect(both, "x")
		both.Close()
		w.sendTo(peer, netip.AddrPortFrom(second, 7), "x")
		if s := w.Stats(); s.Refused != 1 {
			t.Error(s)
		}
	})
}

// Connecting fixes the local address too: the handle no longer receives datagrams to other addresses or to
// groups.
func TestConnectNarrows(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		host, err := w.AddHost(here, there)
		if err != nil {
			t.Fatal(err)
		}
		group := netip.MustParseAddr("239.1.2.3")
		peer := w.at(beyond)
		c := w.conn(host.Listen(w.Context(), "udp4", ":7"))
		other := w.conn(host.Listen(w.Context(), "udp4", "10.0.0.2:8"))
		if err := c.JoinGroup(group, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		w.sendTo(peer, netip.AddrPortFrom(there, 7), "to the other address")
		w.sendTo(peer, netip.AddrPortFrom(group, 7), "to the group")
		w.sendTo(peer, netip.AddrPortFrom(here, 7), "to it")
		w.expect(c, "to it")
		w.nothing(c)
		w.nothing(other)
		w.want(datagramtest.Stats{Sent: 3, Delivered: 1, Refused: 1, Lost: 1})
	})
}

// Of two equally bound handles, the last one receives, whether or not it serves another family too.
func TestBoundAlike(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		w.conn(w.Host().Listen(w.Context(), "udp6", ":7", datagram.WithReuseAddr()))
		both := w.conn(w.Host().Listen(w.Context(), "udp", ":7", datagram.WithReuseAddr()))
		w.sendTo(w.conn(w.Listen(w.Context(), "udp6", "[2001:db8::9]:0")), netip.MustParseAddrPort("[2001:db8::1]:7"), "x")
		w.expect(both, "x")
	})
}

// Handles may share a port as on Linux.
func TestPortConflicts(t *testing.T) {
	for _, test := range []struct {
		networks  [2]string
		addresses [2]string
		conflict  bool
	}{
		{[2]string{"udp4", "udp4"}, [2]string{":7", "192.0.2.1:7"}, true},
		{[2]string{"udp4", "udp4"}, [2]string{"192.0.2.1:7", ":7"}, true},
		{[2]string{"udp", "udp4"}, [2]string{":7", ":7"}, true},
		{[2]string{"udp", "udp4"}, [2]string{":7", "192.0.2.1:7"}, true},
		{[2]string{"udp6", "udp4"}, [2]string{":7", ":7"}, false},
		{[2]string{"udp6", "udp4"}, [2]string{":7", "192.0.2.1:7"}, false},
		{[2]string{"udp4", "udp4"}, [2]string{"127.0.0.1:7", "192.0.2.1:7"}, false},
		{[2]string{"udp4", "udp4"}, [2]string{":7", ":8"}, false},
	} {
		simulate(t, 1, datagramtest.Link{}, func(w *world) {
			w.conn(w.Listen(w.Context(), test.networks[0], test.addresses[0]))
			c, err := w.Listen(w.Context(), test.networks[1], test.addresses[1])
			if errors.Is(err, syscall.EADDRINUSE) != test.conflict {
				t.Errorf("%v: %v", test, err)
			}
			if c != nil {
				w.conn(c, nil)
			}
		})
	}
}

// A refusal reaches only handles that are connected to the refusing address, and a partition stops it.
func TestRefusalOfAnother(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Second}, func(w *world) {
		told := make(chan error, 9)
		c, peer := w.at(here, datagram.WithErrorHandler(func(err error) { told <- err })), w.at(beyond)
		gone := netip.AddrPortFrom(there, 9)
		c.Recv()
		w.sendTo(c, gone, "anybody")
		if err := c.Connect(peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := c.Disconnect(); err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(gone); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TrySend(datagram.Datagram{}); err != nil {
			t.Fatal(err)
		}
		w.Partition(only(here), only(there)) // while it is in transit
		time.Sleep(time.Minute)
		if len(told) > 0 {
			t.Errorf("told: %v", <-told)
		}
		w.want(datagramtest.Stats{Sent: 2, Refused: 2})
	})
}

// A refusal travels back as a datagram would, with the fate of its ordinal.
func TestRefusalOnItsWay(t *testing.T) {
	const sent = 200
	for _, loss := range []float64{0, 0.5, 1} {
		simulate(t, 1, datagramtest.Link{}, func(w *world) {
			w.SetLink(only(there), all, datagramtest.Link{Loss: loss, Delay: time.Second, Jitter: time.Second})
			start := time.Now()
			var told []time.Duration
			c := w.at(here, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(error) { told = append(told, time.Since(start)) }))
			for range sent {
				w.sendTo(c, netip.AddrPortFrom(there, 9), "anybody")
			}
			w.nothing(c)
			synctest.Wait()
			if n := len(told); n != int((1-loss)*sent) && (loss != 0.5 || n < sent/3 || n > sent*2/3) {
				t.Errorf("told %d times of %d with a loss of %v", n, sent, loss)
			}
			for i, took := range told {
				if took < time.Second || took > 2*time.Second || i > 0 && told[0] == told[len(told)-1] {
					t.Errorf("took %v of %v", took, told)
				}
			}
			w.want(datagramtest.Stats{Sent: sent, Refused: sent})
		})
	}
}

func TestBufferSizes(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		c := w.at(here, datagram.WithReadBuffer(0), datagram.WithWriteBuffer(1<<31-1))
		if size, err := c.ReadBuffer(); size != 2304 || err != nil {
			t.Errorf("read buffer: %d, %v", size, err)
		}
		if size, err := c.WriteBuffer(); size != 1<<31-2 || err != nil {
			t.Errorf("write buffer: %d, %v", size, err)
		}
		w.send(c, c, "fits")
		w.expect(c, "fits")
		if size, err := w.at(here).ReadBuffer(); size != 64<<20 || err != nil {
			t.Errorf("read buffer by default: %d, %v", size, err)
		}
	})
}
