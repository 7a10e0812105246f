package datagramtest_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestFilter(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Second}, func(w *world) {
		a, b := w.at(here), w.at(there)
		source, destination := a.LocalAddr(), b.LocalAddr()
		var seen []string
		w.Filter(func(from, to netip.AddrPort, payload []byte) bool {
			if from != source || to != destination {
				t.Errorf("from %v to %v", from, to)
			}
			seen = append(seen, string(payload))
			return len(seen) != 3
		})
		for _, payload := range []string{"1", "2", "3", "4"} {
			w.send(a, b, payload)
		}
		w.expect(b, "1", "2", "4")
		if !slices.Equal(seen, []string{"1", "2", "3", "4"}) {
			t.Errorf("saw %v", seen)
		}
		w.want(datagramtest.Stats{Sent: 4, Delivered: 3, Lost: 1})
		for _, e := range w.Log() {
			if e.Action == datagramtest.Lost && (e.Number != 2 || e.Reason != "filter") {
				t.Error(e)
			}
		}
		w.Filter(nil)
		w.send(a, b, "5")
		w.expect(b, "5")
		if len(seen) != 4 {
			t.Errorf("saw %v", seen)
		}
	})
}

// The filter sees a datagram to a group once, and drops it for every member.
func TestFilterGroup(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		group := netip.MustParseAddrPort("239.1.2.3:500")
		for _, addr := range []netip.Addr{here, there} {
			host, err := w.AddHost(addr)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.conn(host.Listen(w.Context(), "udp4", ":500")).JoinGroup(group.Addr(), nil); err != nil {
				t.Fatal(err)
			}
		}
		calls := 0
		w.Filter(func(_, to netip.AddrPort, _ []byte) bool {
			calls++
			return to != group
		})
		w.sendTo(w.at(beyond), group, "x")
		w.want(datagramtest.Stats{Sent: 2, Lost: 2})
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}

// Datagrams that the filter keeps have the fate that they would have without it.
func TestFilterAndFates(t *testing.T) {
	run := func(keep func(from, to netip.AddrPort, payload []byte) bool) (fates []string) {
		simulate(t, 1, datagramtest.Link{Loss: 0.3, Duplicate: 0.3, Reorder: 0.3, Delay: time.Second}, func(w *world) {
			w.Filter(keep)
			a, b := w.conn(w.Listen(w.Context(), "udp", "10.0.0.1:1")), w.at(there)
			for range 100 {
				if _, err := a.TrySend(datagram.To(b.LocalAddr(), nil)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			for _, e := range w.Log() {
				if e.Number%2 == 0 {
					fates = append(fates, fmt.Sprint(e.Number, e.Action))
				}
			}
		})
		return fates
	}
	sent := 0
	every, some := run(nil), run(func(netip.AddrPort, netip.AddrPort, []byte) bool { sent++; return sent%2 == 1 })
	if !slices.Equal(every, some) {
		t.Errorf("without a filter\n%v\nwith one\n%v", every, some)
	}
}
