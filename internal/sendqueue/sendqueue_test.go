package sendqueue

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"example.com/datagram/internal/socket"
)

// taking is a socket that accepts everything.
func taking(ds []socket.Outgoing, _ bool) (int, error) { return len(ds), nil }

// put queues a datagram of the given size without waiting.
func put(q *Queue, size int) error {
	return q.Enqueue(NeverWait, &socket.Outgoing{Payload: make([]byte, size)}, nil, nil, nil)
}

func TestBounds(t *testing.T) {
	for _, test := range []struct {
		name  string
		sizes []int // the last does not fit
	}{
		{"count", []int{0, 1, 2, 0}},
		{"bytes", []int{6, 4, 1}},
		{"larger than the bound, alone", []int{11, 0}},
		{"larger than the bound, behind another", []int{0, 11}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // in which no time passes for the guard
				q, f := newQueue(t, Config{Count: 3, Bytes: 10})
				f.send = taking
				q.BeginBatch(true) // nobody drains
				last := len(test.sizes) - 1
				for _, size := range test.sizes[:last] {
					if err := put(q, size); err != nil {
						t.Fatal(err)
					}
				}
				if err := put(q, test.sizes[last]); err != ErrFull {
					t.Errorf("one too many: %v", err)
				}
				if count, _ := q.Size(); count != last {
					t.Errorf("%d are queued, want %d", count, last)
				}
				q.EndBatch()
				if count, bytes := q.Size(); count != 0 || bytes != 0 {
					t.Errorf("%d datagrams of %d bytes are queued", count, bytes)
				}
			})
		})
	}
}

// A caller that finds no room drains the queue; if another goroutine is draining, it waits for room until the
// context ends.
func TestWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 1})
		room := make(chan struct{})
		f.send = func(ds []socket.Outgoing, wait bool) (int, error) {
			if wait {
				<-room
				return len(ds), nil
			}
			return 0, syscall.EAGAIN
		}
		first := enqueue(t, q)
		synctest.Wait() // the worker waits for the socket
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- q.Enqueue(ctx, &socket.Outgoing{}, nil, nil, nil) }()
		synctest.Wait()
		cancel()
		if err := <-result; err != context.Canceled {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
		go func() { result <- q.Enqueue(t.Context(), &socket.Outgoing{}, nil, nil, nil) }()
		synctest.Wait()
		close(room)
		if err := errors.Join(<-first, <-result, q.Flush(t.Context(), true)); err != nil {
			t.Error(err)
		}
	})
}

// A caller sends what is queued when it starts, not what others queue meanwhile.
func TestCallerDoesNotDrainForOthersForEver(t *testing.T) {
	for name, call := range map[string]func(*Queue) error{
		"Flush":    func(q *Queue) error { return q.Flush(context.Background(), false) },
		"Enqueue":  func(q *Queue) error { return q.Enqueue(context.Background(), &socket.Outgoing{}, nil, nil, nil) },
		"EndBatch": func(q *Queue) error { q.EndBatch(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, f := newQueue(t, Config{Count: 2})
				busy := true
				f.send = func([]socket.Outgoing, bool) (int, error) {
					q.mu.Lock()
					again := busy
					q.mu.Unlock()
					if again { // queue one whenever one is sent
						if err := put(q, 1); err != nil && err != ErrFull && err != net.ErrClosed {
							t.Error(err)
						}
					}
					return 1, nil
				}
				q.BeginBatch(true) // starts no worker, as inside a handler
				if err := errors.Join(put(q, 1), put(q, 1)); err != nil {
					t.Fatal(err)
				}
				if err := call(q); err != nil {
					t.Error(err)
				}
				q.mu.Lock()
				busy = false
				q.mu.Unlock()
			})
		})
	}
}

// Each datagram gets its own answer, in the order of acceptance, even if destinations were grouped and the
// socket then had no room for the rest.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []error
		q, f := newQueue(t, Config{Count: 10, Failed: func(_ netip.AddrPort, _ *socket.Name, err error) { failed = append(failed, err) }})
		f.segments = true
		full := true
		f.send = func(ds []socket.Outgoing, wait bool) (int, error) {
			switch size := len(ds[0].Payload); {
			case size == 2:
				return 0, syscall.EMSGSIZE
			case size == 4 && full && !wait:
				full = false
				return 0, syscall.EAGAIN
			}
			return 1, nil
		}
		q.BeginBatch(true)
		var order []int
		for i := range 6 {
			d := socket.Outgoing{Payload: make([]byte, i), Addr: netip.AddrPortFrom(netip.IPv6Loopback(), uint16(i%2))}
			err := q.Enqueue(t.Context(), &d, nil, nil, func(err error) {
				order = append(order, i)
				if want := map[int]error{2: syscall.EMSGSIZE}[i]; err != want {
					t.Errorf("datagram %d: %v, want %v", i, err, want)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(put(q, 2), put(q, 1)); err != nil { // without completion functions
			t.Fatal(err)
		}
		q.EndBatch()
		synctest.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5}) {
			t.Errorf("answered for %v", order)
		}
		if !slices.Equal(failed, []error{syscall.EMSGSIZE}) {
			t.Errorf("failed: %v", failed)
		}
		if got, want := q.Counts(), (Counts{Accepted: 8, Sent: 6, SentBytes: 14, Errors: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// Failed is called even if no datagram has a completion function.
func TestFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		q, f := newQueue(t, Config{Failed: func(netip.AddrPort, *socket.Name, error) { told++ }})
		f.send = func([]socket.Outgoing, bool) (int, error) { return 0, syscall.EPERM }
		if err := put(q, 0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}

// Pieces become one payload, and the control belongs to this datagram alone.
func TestWhatIsQueuedIsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes for the guard
		q, f := newQueue(t, Config{})
		var text string
		var limit int
		f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			text += string(ds[0].Payload)
			limit = ds[0].Control.HopLimit
			return 1, nil
		}
		q.BeginBatch(true)
		payload, pieces, control := []byte("a"), [][]byte{nil, []byte("bc"), []byte("d")}, &socket.Control{HopLimit: 7}
		if err := q.Enqueue(NeverWait, &socket.Outgoing{Payload: payload}, control, pieces, nil); err != nil {
			t.Fatal(err)
		}
		payload[0], pieces[1][0], control.HopLimit = 'x', 'x', 9
		q.EndBatch()
		if text != "abcd" || limit != 7 {
			t.Errorf("sent %q with a hop limit of %d", text, limit)
		}
	})
}

// The queue keeps no more of a UDP datagram than it takes to see that it is too long.
func TestTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // in which no time passes for the guard
		q, f := newQueue(t, Config{})
		length := 0
		f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			length = len(ds[0].Payload)
			return 0, syscall.EMSGSIZE
		}
		q.BeginBatch(true)
		if err := put(q, 1<<20); err != nil {
			t.Fatal(err)
		}
		if _, bytes := q.Size(); bytes != 1<<20 {
			t.Errorf("%d bytes are queued", bytes)
		}
		q.EndBatch()
		if length != TooLong {
			t.Errorf("%d bytes were submitted", length)
		}
	})
}

// A datagram of Try that the socket refuses counts as accepted.
func TestTryCounts(t *testing.T) {
	q, f := newQueue(t, Config{})
	answers := []error{nil, syscall.EAGAIN, net.ErrClosed, syscall.EPERM}
	f.send = func([]socket.Outgoing, bool) (n int, err error) {
		err, answers = answers[0], answers[1:]
		if err == nil {
			n = 1
		}
		return n, err
	}
	two := []socket.Outgoing{{Payload: []byte("abc")}, {}}
	for _, want := range []struct {
		n   int
		err error
	}{{1, syscall.EAGAIN}, {0, net.ErrClosed}, {0, syscall.EPERM}} {
		if n, err := q.Try(two); n != want.n || err != want.err {
			t.Errorf("%d, %v; want %d, %v", n, err, want.n, want.err)
		}
	}
	if got, want := q.Counts(), (Counts{Accepted: 2, Sent: 1, SentBytes: 3, Errors: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Look is called after the worker has sent, and whenever a send has encountered network errors.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		q, f := newQueue(t, Config{Look: func() { looks++ }})
		f.send = taking
		if err := <-enqueue(t, q); err != nil || looks != 1 {
			t.Errorf("%v, %d looks", err, looks)
		}
		f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			f.counters.NetworkErrors.Add(1)
			return len(ds), nil
		}
		if n, err := q.Try(make([]socket.Outgoing, 1)); n != 1 || err != nil || looks != 2 {
			t.Errorf("%d, %v, %d looks", n, err, looks)
		}
	})
}

func TestTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 3})
		f.send = taking
		q.BeginBatch(true)
		first, second := enqueue(t, q), enqueue(t, q)
		if !q.Active() {
			t.Error("not active")
		}
		q.Refuse()
		if err := put(q, 0); err != net.ErrClosed {
			t.Errorf("Enqueue: %v", err)
		}
		if _, err := q.Try(make([]socket.Outgoing, 1)); err != net.ErrClosed {
			t.Errorf("Try: %v", err)
		}
		q.draining = true // as if another goroutine were draining
		flushed := make(chan error, 1)
		go func() { flushed <- q.Flush(context.Background(), false) }()
		synctest.Wait()
		q.End()
		if err := <-flushed; err != net.ErrClosed {
			t.Errorf("Flush: %v", err)
		}
		q.mu.Lock()
		q.draining = false
		q.mu.Unlock()
		q.Close()
		for _, answer := range []<-chan error{first, second} {
			if err := <-answer; err != net.ErrClosed {
				t.Errorf("what was queued: %v", err)
			}
		}
		synctest.Wait()
		if q.Active() {
			t.Error("still active")
		}
		if got, want := q.Counts(), (Counts{Accepted: 2, Errors: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := q.Flush(ended, false); err != context.Canceled {
			t.Errorf("Flush with an ended context: %v", err)
		}
	})
}

// Close may come while part of a block is being sent; the rest fails.
func TestClosedWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 3})
		f.send = func([]socket.Outgoing, bool) (int, error) {
			q.enterState(closed)
			return 1, nil
		}
		q.BeginBatch(true)
		answers := []<-chan error{enqueue(t, q), enqueue(t, q), enqueue(t, q)}
		q.EndBatch()
		for i, want := range []error{nil, net.ErrClosed, net.ErrClosed} {
			if err := <-answers[i]; err != want {
				t.Errorf("datagram %d: %v, want %v", i, err, want)
			}
		}
		if got, want := q.Counts(), (Counts{Accepted: 3, Sent: 1, SentBytes: 1, Errors: 2}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
