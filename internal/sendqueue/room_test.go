package sendqueue

import (
	"context"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// A fullQueue is a queue whose socket accepts datagrams one at a time, when told to.
type fullQueue struct {
	*Queue
	t     *testing.T
	take  chan struct{}
	order []int // in which waiters were admitted
	errs  map[int]error
}

func newFullQueue(t *testing.T, config Config) *fullQueue {
	t.Helper()
	q, f := newQueue(t, config)
	full := &fullQueue{Queue: q, t: t, take: make(chan struct{}), errs: make(map[int]error)}
	f.send = func(_ []socket.Outgoing, wait bool) (int, error) {
		if !wait {
			return 0, syscall.EAGAIN
		}
		if _, ok := <-full.take; !ok {
			return 0, net.ErrClosed
		}
		return 1, nil
	}
	for put(q, 1) == nil {
	}
	synctest.Wait() // until the worker waits for the socket
	return full
}

// enqueue queues a datagram on its own goroutine, after all others that do.
func (f *fullQueue) enqueue(ctx context.Context, number, size int) {
	go func() {
		err := f.Enqueue(ctx, &socket.Outgoing{Payload: make([]byte, size)}, nil, nil, nil)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.errs[number] = err; err == nil {
			f.order = append(f.order, number)
		}
	}()
	synctest.Wait()
}

func (f *fullQueue) expect(order ...int) {
	f.t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.order, order) {
		f.t.Errorf("let in %v, want %v", f.order, order)
	}
}

// Waiters get room in the order in which they came, each when there is room for one.
func TestFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFullQueue(t, Config{Count: 1})
		const senders = 20
		var want []int
		for i := range senders {
			f.enqueue(t.Context(), i, 1)
			want = append(want, i)
		}
		for i := range senders {
			f.expect(want[:i]...)
			f.take <- struct{}{}
		}
		f.expect(want...)
		f.take <- struct{}{}
	})
}

// Nobody passes the line, even with a datagram that would fit when the first one's does not.
func TestNobodyPassesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFullQueue(t, Config{Count: 10, Bytes: 10})
		f.take <- struct{}{} // frees one of ten bytes
		ctx, cancel := context.WithCancel(t.Context())
		f.enqueue(ctx, 1, 5)
		f.enqueue(t.Context(), 2, 1)
		if err := put(f.Queue, 1); err != ErrFull {
			t.Errorf("TryQueue: %v", err)
		}
		f.expect()
		cancel() // the first leaves, and the second finds room
		f.expect(2)
		if f.errs[1] != context.Canceled {
			t.Errorf("who left: %v", f.errs[1])
		}
		close(f.take)
	})
}

// An admitted waiter keeps its room if others come before it runs.
func TestRoomIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFullQueue(t, Config{Count: 1})
		f.enqueue(t.Context(), 1, 1)
		f.mu.Lock()                             // on which the admitted waiter will wait
		f.count, f.bytes = f.count-1, f.bytes-1 // something is answered
		f.admit()
		if f.hasRoom(1, 1) {
			t.Error("there is room for others")
		}
		f.count, f.bytes = f.count+1, f.bytes+1 // as it was
		f.mu.Unlock()
		f.expect(1)
		close(f.take)
	})
}

// The end of the queue ends all waits.
func TestEndDismissesTheLine(t *testing.T) {
	for name, end := range map[string]func(*Queue){"Refuse": (*Queue).Refuse, "End": (*Queue).End} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFullQueue(t, Config{Count: 1})
				for i := range 3 {
					f.enqueue(t.Context(), i, 1)
				}
				end(f.Queue)
				f.expect()
				for i := range 3 {
					if f.errs[i] != net.ErrClosed {
						t.Errorf("number %d: %v", i, f.errs[i])
					}
				}
				close(f.take)
			})
		})
	}
}

// A waiter for room does not wait for the end of a handler's batch, however room is passed on.
func TestBatchDoesNotHoldUpTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 1})
		const rivals = 3
		results := make(chan error, rivals)
		f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			f.send = taking
			for range rivals {
				go func() { results <- q.Enqueue(t.Context(), &socket.Outgoing{}, nil, nil, nil) }()
			}
			synctest.Wait() // until they are in line behind the handler
			return len(ds), nil
		}
		began := time.Now()
		q.BeginBatch(true)
		for range 2 { // the second finds no room
			if err := q.Enqueue(t.Context(), &socket.Outgoing{}, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n, took := len(results), time.Since(began); n != rivals || took > 0 { // otherwise the guard has helped
			t.Errorf("%d of %d found room, after %v", n, rivals, took)
		}
		q.EndBatch()
	})
}

// A sourceFunc is a Source.
type sourceFunc func(i int) (*socket.Outgoing, *socket.Control, error)

func (f sourceFunc) Next(i int) (*socket.Outgoing, *socket.Control, error) { return f(i) }

// What waits for room is validated anew when there is some. If it may no longer be sent, the next in line gets the room.
func TestSourceFailsAfterItsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFullQueue(t, Config{Count: 1})
		calls := 0
		result := make(chan error, 1)
		go func() {
			n, err := f.EnqueueAll(t.Context(), 1, sourceFunc(func(int) (*socket.Outgoing, *socket.Control, error) {
				if calls++; calls > 1 {
					return nil, nil, errRefused
				}
				return new(socket.Outgoing), nil, nil
			}))
			if n != 0 {
				t.Errorf("%d accepted", n)
			}
			result <- err
		}()
		synctest.Wait()
		f.enqueue(t.Context(), 1, 1)
		f.take <- struct{}{}
		if err := <-result; err != errRefused {
			t.Errorf("%v, want %v", err, errRefused)
		}
		f.expect(1)
		close(f.take)
	})
}
