package sendqueue

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

var errRefused = errors.New("failure")

// becomeSlow makes the next datagram one that its sender sends by itself.
func becomeSlow(q *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pace.lone, q.pace.last = slowAfter, -quick
}

// eachWay runs a test with both functions that send a lone datagram on the caller's goroutine.
func eachWay(t *testing.T, test func(t *testing.T, q *Queue, f *fakeSocket, send func(payload []byte, control *socket.Control) error, reported *atomic.Int32)) {
	for name, send := range map[string]func(q *Queue, d *socket.Outgoing, control *socket.Control) error{
		"Enqueue": func(q *Queue, d *socket.Outgoing, control *socket.Control) error {
			return q.Enqueue(context.Background(), d, control, nil, nil)
		},
		"Write": func(q *Queue, d *socket.Outgoing, control *socket.Control) error {
			return q.Write(context.Background(), d, control, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var reported atomic.Int32
			q, f := newQueue(t, Config{Count: 2, Failed: func(netip.AddrPort, *socket.Name, error) { reported.Add(1) }})
			test(t, q, f, func(payload []byte, control *socket.Control) error {
				return send(q, &socket.Outgoing{Payload: payload}, control)
			}, &reported)
		})
	}
}

// Nothing is copied. Write returns the answer, and nobody else learns it; Enqueue reports a failure.
func TestLone(t *testing.T) {
	eachWay(t, func(t *testing.T, q *Queue, f *fakeSocket, send func([]byte, *socket.Control) error, reported *atomic.Int32) {
		control := &socket.Control{HopLimit: 3}
		payload := []byte("x")
		told := 0
		for _, answer := range []error{nil, errRefused} {
			becomeSlow(q)
			f.send = func(ds []socket.Outgoing, wait bool) (int, error) {
				if len(ds) != 1 || wait || *ds[0].Control != *control {
					t.Errorf("sent %+v, wait %v", ds, wait)
				}
				if &ds[0].Payload[0] != &payload[0] {
					t.Error("the payload was copied")
				}
				if answer != nil {
					return 0, answer
				}
				return 1, nil
			}
			switch err := send(payload, control); err {
			case nil:
			case answer:
				told++
			default:
				t.Errorf("returned %v, want %v", err, answer)
			}
		}
		if err := q.Flush(await.Context(t), true); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if c := q.Counts(); c != (Counts{Accepted: 2, Sent: 1, SentBytes: 1, Errors: 1}) {
			t.Errorf("counted %+v", c)
		}
		if told += int(reported.Load()); told != 1 {
			t.Errorf("told %d times of one failure", told)
		}
	})
}

// A payload in pieces must be put together first.
func TestPiecesAreNotLone(t *testing.T) {
	q, f := newQueue(t, Config{})
	becomeSlow(q)
	var sent string
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		sent = string(ds[0].Payload)
		return 1, nil
	}
	if err := q.Enqueue(t.Context(), &socket.Outgoing{Payload: []byte("p")}, nil, [][]byte{[]byte("q")}, nil); err != nil {
		t.Fatal(err)
	}
	if sent != "pq" {
		t.Errorf("sent %q", sent)
	}
}

// Without room, the datagram stays in the queue as a copy, and a worker sends it.
func TestLoneWithoutRoom(t *testing.T) {
	for name, full := range map[string]error{"EAGAIN": syscall.EAGAIN, "ENOBUFS": syscall.ENOBUFS, "none taken": nil} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, q *Queue, f *fakeSocket, send func([]byte, *socket.Control) error, reported *atomic.Int32) {
				becomeSlow(q)
				released := make(chan struct{})
				first := true
				sent := make(chan string, 1)
				f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
					if first {
						first = false
						return 0, full
					}
					<-released
					sent <- string(ds[0].Payload)
					return 0, errRefused
				}
				payload := []byte("x")
				if err := send(payload, nil); err != nil {
					t.Error(err)
				}
				payload[0] = 'y'
				close(released)
				if got := await.Value(t, "the datagram", sent); got != "x" {
					t.Errorf("sent %q", got)
				}
				await.Until(t, "the failure to be reported", func() bool { return reported.Load() == 1 })
			})
		})
	}
}

// What others queue while a caller sends alone is not left behind.
func TestLoneBesideOthers(t *testing.T) {
	eachWay(t, func(t *testing.T, q *Queue, f *fakeSocket, send func([]byte, *socket.Control) error, _ *atomic.Int32) {
		becomeSlow(q)
		first := true
		sent := make(chan string, 2)
		f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			if first {
				first = false
				if err := send([]byte("second"), nil); err != nil {
					t.Errorf("another: %v", err)
				}
			}
			sent <- string(ds[0].Payload)
			return 1, nil
		}
		if err := send([]byte("x"), nil); err != nil {
			t.Error(err)
		}
		for _, want := range []string{"x", "second"} {
			if got := await.Value(t, want, sent); got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		}
	})
}

// The answer ends waits at once, even if what others queued meanwhile takes long.
func TestLoneAnswerEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		becomeSlow(q)
		answers := make(chan int)
		f.send = func([]socket.Outgoing, bool) (int, error) { return <-answers, nil }
		send := func() error { return q.Enqueue(t.Context(), &socket.Outgoing{}, nil, nil, nil) }
		go send()
		synctest.Wait()
		flushed, admitted := make(chan error, 1), make(chan error, 1)
		go func() { flushed <- q.Flush(t.Context(), false) }()
		synctest.Wait()
		if err := send(); err != nil {
			t.Fatal(err)
		}
		go func() { admitted <- send() }()
		synctest.Wait()
		if n := len(flushed) + len(admitted); n != 0 {
			t.Errorf("%d have not waited", n)
		}
		answers <- 1
		synctest.Wait()
		if len(flushed) != 1 || len(admitted) != 1 {
			t.Errorf("Flush has returned: %d, there was room: %d", len(flushed), len(admitted))
		}
		answers <- 1
		answers <- 1
	})
}
