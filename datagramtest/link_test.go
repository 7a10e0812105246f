package datagramtest_test

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestPerfectLink(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		a, b := w.at(here), w.at(there)
		start := time.Now()
		for i := range 50 {
			w.send(a, b, fmt.Sprint(i))
		}
		for i := range 50 {
			w.expect(b, fmt.Sprint(i))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		w.want(datagramtest.Stats{Sent: 50, Delivered: 50})
	})
}

func TestLoss(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Loss: 0.3}, func(w *world) {
		a, b := w.at(here), w.at(there, datagram.WithReadBuffer(10<<20))
		for range 1000 {
			w.send(a, b, "x")
		}
		s := w.Stats()
		if s.Lost < 200 || s.Lost > 400 {
			t.Errorf("%d of 1,000 lost", s.Lost)
		}
		for range s.Delivered {
			w.expect(b, "x")
		}
		w.nothing(b)
	})
}

func TestDuplicate(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Duplicate: 1, Delay: time.Second}, func(w *world) {
		a, b := w.at(here), w.at(there)
		w.send(a, b, "one")
		w.send(a, b, "two")
		w.want(datagramtest.Stats{Sent: 2, Duplicated: 2, Held: 4})
		w.expect(b, "one", "one", "two", "two")
		w.nothing(b)
		w.want(datagramtest.Stats{Sent: 2, Duplicated: 2, Delivered: 4})
	})
}

// A copy travels no longer than other datagrams.
func TestJitterOfCopies(t *testing.T) {
	const jitter = time.Second
	simulate(t, 1, datagramtest.Link{Duplicate: 1, Jitter: jitter}, func(w *world) {
		a, b := w.at(here), w.at(there)
		apart := 0
		for range 50 {
			start := time.Now()
			w.send(a, b, "x")
			w.expect(b, "x")
			first := time.Since(start)
			w.expect(b, "x")
			if second := time.Since(start); second > jitter {
				t.Errorf("took %v and %v", first, second)
			} else if second > first {
				apart++
			}
			time.Sleep(time.Minute)
		}
		if apart < 10 {
			t.Errorf("only %d of 50 copies had a jitter of their own", apart)
		}
	})
}

// A time beyond the range of the clock never comes.
func TestForEver(t *testing.T) {
	for name, link := range map[string]datagramtest.Link{
		"Delay":   {Delay: math.MaxInt64},
		"Jitter":  {Delay: math.MaxInt64 - 1, Jitter: math.MaxInt64},
		"Reorder": {Delay: math.MaxInt64 / 2, Jitter: 9, Reorder: 1},
	} {
		simulate(t, 1, link, func(w *world) {
			a, b := w.at(here), w.at(there)
			time.Sleep(time.Minute)
			w.send(a, b, name)
			w.nothing(b)
			w.want(datagramtest.Stats{Sent: 1, Held: 1, Reordered: uint64(link.Reorder)})
		})
	}
}

func TestReorder(t *testing.T) {
	for _, delay := range []time.Duration{0, 10 * time.Millisecond} {
		simulate(t, 1, datagramtest.Link{Reorder: 0.2, Delay: delay}, func(w *world) {
			a, b := w.at(here), w.at(there)
			var sent, got []string
			for i := range 100 {
				sent = append(sent, fmt.Sprintf("%03d", i))
				w.send(a, b, sent[i])
			}
			for range sent {
				got = append(got, string(w.next(b).Payload))
			}
			late := int(w.Stats().Reordered)
			if late < 5 || late > 40 || slices.IsSorted(got) {
				t.Errorf("%d reordered: %v", late, got)
			}
			// Datagrams on time and late ones each keep their order.
			if inTime := got[:100-late]; !slices.IsSorted(inTime) || !slices.IsSorted(got[100-late:]) {
				t.Errorf("order among %v", got)
			}
			slices.Sort(got)
			if !slices.Equal(got, sent) {
				t.Errorf("received %v", got)
			}
		})
	}
}

func TestCorrupt(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Corrupt: 1}, func(w *world) {
		a, b := w.at(here), w.at(there)
		w.send(a, b, "payload")
		got := w.next(b).Payload
		flipped := 0
		for i, c := range []byte("payload") {
			flipped += bits.OnesCount8(c ^ got[i])
		}
		if len(got) != 7 || flipped != 1 {
			t.Errorf("received %q, with %d bits flipped", got, flipped)
		}
		w.send(a, b, "")
		w.expect(b, "")
		w.want(datagramtest.Stats{Sent: 2, Delivered: 2, Corrupted: 1})
	})
}

func TestDelay(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: 30 * time.Millisecond}, func(w *world) {
		a, b := w.at(here), w.at(there, datagram.WithMetadata(datagram.MetaTime))
		for range 3 {
			start := time.Now()
			w.send(a, b, "x")
			d := w.next(b)
			if took := time.Since(start); took != 30*time.Millisecond {
				t.Errorf("took %v", took)
			}
			if !d.Meta.Time.Equal(time.Now()) {
				t.Errorf("stamped %v, want %v", d.Meta.Time, time.Now())
			}
		}
	})
}

// Jitter alone does not reorder.
func TestJitter(t *testing.T) {
	const delay, jitter = 20 * time.Millisecond, 10 * time.Millisecond
	simulate(t, 1, datagramtest.Link{Delay: delay, Jitter: jitter}, func(w *world) {
		a, b := w.at(here), w.at(there)
		start := time.Now()
		times := make(map[time.Duration]bool)
		for i := range 50 {
			w.send(a, b, fmt.Sprint(i))
			time.Sleep(time.Millisecond)
		}
		for i := range 50 {
			w.expect(b, fmt.Sprint(i))
		}
		for _, e := range w.Log() {
			if e.Action != datagramtest.Delivered {
				continue
			}
			took := e.Time - time.Duration(e.Number)*time.Millisecond
			if took < delay || took > delay+jitter {
				t.Errorf("%v took %v", e, took)
			}
			times[took] = true
		}
		if len(times) < 10 {
			t.Errorf("only %d different delays since %v", len(times), start)
		}
	})
}

func TestRate(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Rate: 1000, Delay: time.Second}, func(w *world) {
		a, b := w.at(here), w.at(there)
		start := time.Now()
		payload := strings.Repeat("x", 100)
		for range 10 {
			w.send(a, b, payload)
		}
		for i := range 10 {
			w.expect(b, payload)
			if took, want := time.Since(start), time.Second+time.Duration(i+1)*100*time.Millisecond; took != want {
				t.Errorf("datagram %d took %v, want %v", i, took, want)
			}
		}
	})
}

func TestQueue(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Rate: 1000, Queue: 250}, func(w *world) {
		a, b := w.at(here), w.at(there)
		payload := strings.Repeat("x", 100)
		for range 5 {
			w.send(a, b, payload)
		}
		w.want(datagramtest.Stats{Sent: 5, Held: 3, Overflowed: 2}) // one is being sent, and two wait
		w.expect(b, payload)
		w.send(a, b, payload) // takes the room of the second
		w.expect(b, payload, payload, payload)
		w.send(a, b, strings.Repeat("y", 1000)) // larger than the queue, but need not wait
		w.next(b)
		w.want(datagramtest.Stats{Sent: 7, Delivered: 5, Overflowed: 2})
	})
}

func TestMTU(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		w.SetLink(all, only(there), datagramtest.Link{MTU: 1000})
		told := make(chan error, 9)
		a, b := w.at(here, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { told <- err })), w.at(there)
		fits, long := strings.Repeat("x", 1000-28), strings.Repeat("x", 1000-27)
		w.send(a, b, fits)
		w.expect(b, fits)

		a.Recv()
		if _, err := a.TrySend(datagram.To(b.LocalAddr(), []byte(long))); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("too long: %v", err)
		}
		var report *datagram.NetworkError
		want := datagram.NetworkError{Dst: b.LocalAddr(), MTU: 1000, Err: syscall.EMSGSIZE}
		if err := <-told; !errors.As(err, &report) || *report != want {
			t.Errorf("told of %v, want %v", err, want)
		}
		if err := a.Connect(b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if mtu, err := a.PathMTU(); mtu != 1000 || err != nil {
			t.Errorf("path MTU %d, %v", mtu, err)
		}
		w.want(datagramtest.Stats{Sent: 1, Delivered: 1})
	})
}

// If several links apply to a path, the last one set counts, in its direction.
func TestSetLink(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Loss: 1}, func(w *world) {
		a, b := w.at(here), w.at(there)
		reach := func(from, to *datagram.Conn, want bool) {
			t.Helper()
			before := w.Stats().Delivered
			w.send(from, to, "x")
			if got := w.Stats().Delivered > before; got != want {
				t.Errorf("delivered: %v, want %v", got, want)
			}
		}
		reach(a, b, false)
		w.SetLink(only(here), only(there), datagramtest.Link{})
		reach(a, b, true)
		reach(b, a, false)
		w.SetLink(all, all, datagramtest.Link{})
		reach(b, a, true)
		w.SetLink(all, only(there), datagramtest.Link{Loss: 1})
		reach(a, b, false)
		w.SetLink(only(here), only(there), datagramtest.Link{})
		reach(a, b, true)
	})
}

func TestPartition(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Second}, func(w *world) {
		a, b, c := w.at(here), w.at(there), w.at(beyond)
		w.send(a, b, "under way")
		heal := w.Partition(only(here), only(there))
		healAgain := w.Partition(only(there), only(here))
		w.send(a, b, "lost")
		w.send(b, a, "lost")
		w.send(a, c, "elsewhere")
		w.expect(b, "under way")
		w.expect(c, "elsewhere")
		heal()
		heal()
		w.send(a, b, "still lost")
		healAgain()
		w.send(a, b, "back")
		w.expect(b, "back")
		w.want(datagramtest.Stats{Sent: 6, Delivered: 3, Lost: 3})
	})
}

func TestPrefixes(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		a, b := w.at(here), w.at(there)
		mapped := netip.MustParsePrefix("::ffff:10.0.0.0/120")
		heal := w.Partition(mapped, all)
		w.send(a, b, "lost")
		heal()
		w.SetLink(mapped, all, datagramtest.Link{Loss: 1})
		w.send(a, b, "lost")
		w.SetLink(netip.MustParsePrefix("10.0.0.77/24"), all, datagramtest.Link{}) // the same prefix in another form
		w.send(a, b, "arrives")
		w.want(datagramtest.Stats{Sent: 3, Delivered: 1, Lost: 2})

		invalid := netip.PrefixFrom(here, 64)
		for name, call := range map[string]func(){
			"Partition": func() { w.Partition(all, invalid) },
			"SetLink":   func() { w.SetLink(invalid, all, datagramtest.Link{}) },
		} {
			func() {
				defer func() {
					if v := fmt.Sprint(recover()); !strings.Contains(v, "invalid Prefix") {
						t.Errorf("%s: panic %v", name, v)
					}
				}()
				call()
			}()
		}
		w.send(a, b, "still arrives")
	})
}

func TestLinkOutOfRange(t *testing.T) {
	for field, link := range map[string]datagramtest.Link{
		"Loss":      {Loss: 5},
		"Duplicate": {Duplicate: -0.1},
		"Reorder":   {Reorder: math.NaN()},
		"Corrupt":   {Corrupt: math.Inf(1)},
		"Delay":     {Delay: -1},
		"Jitter":    {Jitter: -1},
		"Rate":      {Rate: -1},
		"Queue":     {Queue: -1},
		"MTU":       {MTU: -1},
	} {
		for name, set := range map[string]func(){
			"NewNetwork": func() { datagramtest.NewNetwork(1, link) },
			"SetLink":    func() { datagramtest.NewNetwork(1, datagramtest.Link{}).SetLink(all, all, link) },
		} {
			func() {
				defer func() {
					if v := fmt.Sprint(recover()); !strings.Contains(v, "Link."+field) {
						t.Errorf("%s with a bad %s: panic %v", name, field, v)
					}
				}()
				set()
			}()
		}
	}
}
