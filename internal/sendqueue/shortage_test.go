package sendqueue

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// shortOf makes a socket fail the first n attempts for lack of room.
func shortOf(f *fakeSocket, n int) {
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		if n > 0 {
			n--
			return 0, os.NewSyscallError("sendmmsg", syscall.ENOBUFS)
		}
		return len(ds), nil
	}
}

// A datagram without room is retried, each time after a longer pause, and then it alone fails.
func TestBackOff(t *testing.T) {
	const pauses = 12700 * time.Microsecond // in total
	for _, test := range []struct {
		name      string
		shortages int
		first     error
		took      time.Duration
	}{
		{"room at the third attempt", 2, nil, firstPause + 2*firstPause},
		{"room at the last attempt", maxPauses, nil, pauses},
		{"no room", maxPauses + 1, syscall.ENOBUFS, pauses},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, f := newQueue(t, Config{Count: 2})
				shortOf(f, test.shortages)
				began := time.Now()
				first, second := enqueue(t, q), enqueue(t, q)
				if err := <-first; !errors.Is(err, test.first) {
					t.Errorf("%v, want %v", err, test.first)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if err := <-second; err != nil {
					t.Errorf("the next one: %v", err)
				}
				retries, shortages := f.counters.Retries.Load(), f.counters.NoBuffers.Load()
				if retries != uint64(min(test.shortages, maxPauses)) || shortages != uint64(test.shortages) {
					t.Errorf("%d retries, %d failures of %d", retries, shortages, test.shortages)
				}
			})
		})
	}
}

// Neither Try nor a caller that drains waits for a pause.
func TestBackOffIsNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		shortOf(f, 2)
		began := time.Now()
		if _, err := q.Try(make([]socket.Outgoing, 1)); !errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) {
			t.Errorf("Try: %v, want ENOBUFS", err)
		}
		q.BeginBatch(true)
		answer := enqueue(t, q)
		q.EndBatch()
		if took := time.Since(began); took > 0 {
			t.Errorf("waited for %v", took)
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

// Close does not wait for the end of a pause.
func TestCloseEndsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		shortOf(f, maxPauses+1)
		answer := enqueue(t, q)
		synctest.Wait() // until the first pause
		began := time.Now()
		q.Close()
		if err := <-answer; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want net.ErrClosed", err)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if n := f.counters.Retries.Load(); n != 0 {
			t.Errorf("%d retries", n)
		}
	})
}

// to returns a datagram to the destination with the given number.
func to(destination uint16) socket.Outgoing {
	return socket.Outgoing{Addr: netip.AddrPortFrom(netip.IPv6Loopback(), destination), Payload: []byte("x")}
}

// A device is a socket that has no room for datagrams to some destinations.
type device struct {
	dead map[uint16]bool
	sent []string // destinations, and the times of sending
}

func (dev *device) attach(f *fakeSocket) {
	began := time.Now()
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		for i, d := range ds {
			if dev.dead[d.Addr.Port()] {
				if i > 0 {
					return i, nil
				}
				return 0, syscall.ENOBUFS
			}
			dev.sent = append(dev.sent, fmt.Sprint(d.Addr.Port(), " after ", time.Since(began)))
		}
		return len(ds), nil
	}
}

func expectSent(t *testing.T, dev *device, want ...string) {
	t.Helper()
	if !slices.Equal(dev.sent, want) {
		t.Errorf("sent %v, want %v", dev.sent, want)
	}
}

const allPauses = firstPause<<maxPauses - firstPause

// Datagrams to other destinations overtake a pausing one, whether they are queued already or come later.
// Those to its own destination do not.
func TestOthersOvertakeWhatPauses(t *testing.T) {
	for _, segments := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q, f := newQueue(t, Config{Count: 100, Bytes: 1000})
			f.segments = segments
			dev := &device{dead: map[uint16]bool{1: true}}
			dev.attach(f)
			var completed []uint16
			enqueue := func(destinations ...uint16) {
				for _, destination := range destinations {
					if err := q.Enqueue(t.Context(), new(to(destination)), nil, nil, func(error) { completed = append(completed, destination) }); err != nil {
						t.Fatal(err)
					}
				}
			}
			enqueue(1, 2, 1, 3)
			synctest.Wait()
			expectSent(t, dev, "2 after 0s", "3 after 0s")
			time.Sleep(firstPause / 2)
			enqueue(2, 1)
			synctest.Wait()
			expectSent(t, dev, "2 after 0s", "3 after 0s", "2 after 50µs")
			dev.dead[1] = false
			if err := q.Flush(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			expectSent(t, dev, "2 after 0s", "3 after 0s", "2 after 50µs", "1 after 100µs", "1 after 100µs", "1 after 100µs")
			if want := []uint16{1, 2, 1, 3, 2, 1}; !slices.Equal(completed, want) {
				t.Errorf("completed %v, want %v", completed, want)
			}
			if n := f.counters.Retries.Load(); n != 1 {
				t.Errorf("%d retries, want 1", n)
			}
		})
	}
}

// Destinations pause concurrently, not one after the other.
func TestManyDestinationsPauseTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 1000, Bytes: 1000})
		dev := &device{dead: make(map[uint16]bool)}
		dev.attach(f)
		for i := range uint16(200) {
			dev.dead[i] = true
		}
		began := time.Now()
		for i := range uint16(200) {
			if i == 100 {
				synctest.Wait() // until the others pause
			}
			if err := q.Enqueue(t.Context(), new(to(i)), nil, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Flush(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != allPauses {
			t.Errorf("took %v, want %v", took, allPauses)
		}
		if got, want := q.Counts(), (Counts{Accepted: 200, Errors: 200}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// After a datagram has used up its pauses, those to the same destination fail without pausing, until one is
// sent.
func TestPausesAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 100, Bytes: 1000})
		dev := &device{dead: map[uint16]bool{1: true}}
		dev.attach(f)
		send := func(want error, pauses time.Duration) {
			t.Helper()
			began := time.Now()
			answer := make(chan error, 1)
			if err := q.Enqueue(t.Context(), new(to(1)), nil, nil, func(err error) { answer <- err }); err != nil {
				t.Fatal(err)
			}
			if err := <-answer; err != want {
				t.Errorf("%v, want %v", err, want)
			}
			if took := time.Since(began); took != pauses {
				t.Errorf("paused for %v, want %v", took, pauses)
			}
		}
		send(syscall.ENOBUFS, allPauses)
		send(syscall.ENOBUFS, 0)
		send(syscall.ENOBUFS, 0)
		if n := f.counters.Retries.Load(); n != maxPauses {
			t.Errorf("%d retries, want %d", n, maxPauses)
		}
		dev.dead[1] = false
		send(nil, 0)
		dev.dead[1] = true
		send(syscall.ENOBUFS, allPauses)
	})
}

// Strangers choose destinations, so the number of remembered ones is limited, and one is forgotten when it is
// sent to.
func TestShortagesAreBounded(t *testing.T) {
	var s shortages
	for i := range uint16(3 * maxShortages) {
		d := to(i)
		if !s.mayPause(&d) {
			t.Fatalf("destination %d may not pause", i)
		}
		if len(s.known) > maxShortages {
			t.Fatalf("%d destinations are known", len(s.known))
		}
	}
	for i := range uint16(3 * maxShortages) {
		s.end([]socket.Outgoing{to(i)})
	}
	if s.known != nil {
		t.Errorf("%d destinations are known after all were sent to", len(s.known))
	}
	names := []socket.Outgoing{{Name: &socket.Name{Addr: &net.UnixAddr{Name: "a"}}}, {Name: &socket.Name{Addr: &net.UnixAddr{Name: "b"}}}}
	for range maxPauses {
		s.mayPause(&names[0])
	}
	if s.mayPause(&socket.Outgoing{Name: &socket.Name{Addr: &net.UnixAddr{Name: "a"}}}) || !s.mayPause(&names[1]) {
		t.Error("names are not told apart by what they say")
	}
}

// Datagrams in later blocks do not wait either.
func TestOtherBlocksOvertakeWhatPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 1000, Bytes: 1000})
		dev := &device{dead: map[uint16]bool{1: true}}
		dev.attach(f)
		q.BeginBatch(true)
		for i := range blockDatagrams + 3 {
			d := to(1)
			if i > blockDatagrams {
				d = to(2)
			}
			if err := q.Enqueue(t.Context(), &d, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		q.EndBatch()
		synctest.Wait()
		expectSent(t, dev, "2 after 0s", "2 after 0s")
		if err := q.Flush(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if got, want := q.Counts(), (Counts{Accepted: blockDatagrams + 3, Sent: 2, SentBytes: 2, Errors: blockDatagrams + 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// Each datagram is retried when its own pause ends.
func TestEachPausesForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 100, Bytes: 1000})
		dev := &device{dead: map[uint16]bool{1: true, 2: true}}
		dev.attach(f)
		for _, destination := range []uint16{1, 2} {
			if err := q.Enqueue(t.Context(), new(to(destination)), nil, nil, nil); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			time.Sleep(firstPause - 20*time.Microsecond)
		}
		synctest.Wait()
		clear(dev.dead)
		if err := q.Flush(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		expectSent(t, dev, "2 after 180µs", "1 after 300µs")
	})
}

// The next attempt is at the end of the first pause to end, whatever its place in the block.
func TestFirstPauseToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, order := range [][]uint16{{1, 2}, {2, 1}} {
			var s shortages
			var l blockList
			for _, destination := range order {
				d := to(destination)
				l.append(&d, nil, 0, tail{})
				for range destination { // so that the second is in its second pause
					s.mayPause(&d)
				}
			}
			s.arrange(l.take(), new(socket.Counters))
			if got := time.Until(s.next); got != firstPause {
				t.Errorf("next in %v, want %v", got, firstPause)
			}
		}
	})
}

// A caller who drains the queue leaves what has to pause to a worker after one attempt.
func TestCallerDoesNotTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 100, Bytes: 1000})
		attempts, returned := 0, make(chan struct{})
		f.send = func([]socket.Outgoing, bool) (int, error) {
			if attempts++; attempts > 1 {
				<-returned // the caller would wait for itself
			}
			return 0, os.NewSyscallError("sendmmsg", syscall.ENOBUFS)
		}
		q.BeginBatch(true)
		var answers []<-chan error
		for port := range uint16(10) {
			answer := make(chan error, 1)
			to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), port+1)
			if err := q.Enqueue(NeverWait, &socket.Outgoing{Addr: to}, nil, nil, func(err error) { answer <- err }); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		q.EndBatch()
		close(returned)
		for _, answer := range answers {
			if err := <-answer; !errors.Is(err, syscall.ENOBUFS) {
				t.Errorf("%v, want ENOBUFS", err)
			}
		}
	})
}

// As many destinations as a block can have pause together: there is one attempt for each, and their datagrams keep
// their order.
func TestManyDeadDestinations(t *testing.T) {
	for _, segments := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q, f := newQueue(t, Config{Count: mixedDatagrams, Bytes: mixedDatagrams})
			f.segments = segments
			dead := true
			sent := make(map[uint16]byte) // by destination, how many
			f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
				if dead {
					return 0, os.NewSyscallError("sendmmsg", syscall.ENOBUFS)
				}
				for _, d := range ds {
					port := d.Addr.Port()
					if number := d.Payload[0]; number != sent[port] {
						t.Errorf("to port %d: datagram %d after %d others", port, number, sent[port])
					}
					sent[port]++
				}
				return len(ds), nil
			}
			q.BeginBatch(true)
			const each = 2 // datagrams to each destination, which take turns
			for i := range mixedDatagrams {
				to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i%(mixedDatagrams/each)+1))
				if err := q.Enqueue(NeverWait, &socket.Outgoing{Addr: to, Payload: []byte{byte(i / (mixedDatagrams / each))}}, nil, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			q.EndBatch()
			synctest.Wait() // all pause
			if n := f.counters.NoBuffers.Load(); n > mixedDatagrams/each+1 {
				t.Errorf("%d attempts for %d destinations", n, mixedDatagrams/each)
			}
			dead = false
			if err := q.Flush(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			for port, n := range sent {
				if n != each {
					t.Errorf("%d sent to port %d, want %d", n, port, each)
				}
			}
			if len(sent) != mixedDatagrams/each {
				t.Errorf("sent to %d destinations, want %d", len(sent), mixedDatagrams/each)
			}
		})
	}
}
