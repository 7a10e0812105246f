package sendqueue

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// What a handler queues leaves at the end of its batch, on the goroutine of EndBatch.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		f.send = taking
		q.BeginBatch(true)
		answer := enqueue(t, q)
		if _, err := q.Try(make([]socket.Outgoing, 1)); err != syscall.EAGAIN {
			t.Errorf("Try overtakes it: %v", err)
		}
		synctest.Wait()
		select {
		case <-answer:
			t.Fatal("it was sent before the batch ended")
		default:
		}
		q.EndBatch()
		if count, _ := q.Size(); count != 0 {
			t.Error("it was not sent when the batch ended")
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

// A handler that waits for its own datagram eventually gets it sent. The time of earlier batches does not
// count.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		f.send = taking
		q.BeginBatch(true)
		first := enqueue(t, q) // sets the timer
		time.Sleep(guardDelay / 2)
		q.EndBatch()
		q.BeginBatch(true)
		began := time.Now()
		second := enqueue(t, q)
		for _, answer := range []<-chan error{first, second} {
			if err := <-answer; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != guardDelay*3/2 {
			t.Errorf("it took %v", took)
		}
		q.EndBatch()
		q.BeginBatch(true)
		q.EndBatch()
		synctest.Wait() // until the timer fires, with nothing left to send
	})
}

// What a handler sends for a single datagram leaves at once, on its own goroutine.
func TestBatchOfOne(t *testing.T) {
	q, f := newQueue(t, Config{})
	sent := false
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		sent = true
		return len(ds), nil
	}
	q.BeginBatch(false)
	if err := put(q, 1); err != nil || !sent {
		t.Errorf("%v, sent: %v", err, sent)
	}
	q.EndBatch()
}

// A batch that is abandoned, or open for long, ends, and what was queued in it leaves. A run of datagrams does not wait.
func TestBatchEndsByItself(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Queue){
		"abandoned": func(_ *testing.T, q *Queue) { q.AbandonBatch() },
		"long":      func(*testing.T, *Queue) { time.Sleep(guardDelay) },
		"not ended": func(_ *testing.T, q *Queue) { q.LastOfBatch(); time.Sleep(guardDelay) },
		"last": func(t *testing.T, q *Queue) {
			q.LastOfBatch()
			if err := put(q, 1); err != nil {
				t.Error(err)
			}
		},
		"more than was read": func(t *testing.T, q *Queue) {
			if err := put(q, 1); err != nil {
				t.Error(err)
			}
		},
		"a run": func(t *testing.T, q *Queue) {
			if err := q.Write(t.Context(), &socket.Outgoing{Payload: []byte("xx")}, nil, 1); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, f := newQueue(t, Config{Count: 4})
				f.send = taking
				q.BeginReads(1)
				enqueue(t, q)
				synctest.Wait()
				if count, _ := q.Size(); count != 1 {
					t.Errorf("%d are queued in the batch", count)
				}
				end(t, q)
				synctest.Wait()
				if count, _ := q.Size(); count != 0 {
					t.Errorf("%d are queued after it", count)
				}
				if name == "a run" || name == "more than was read" {
					return // the batch goes on
				}
				began := time.Now()
				if err := <-enqueue(t, q); err != nil || time.Since(began) != 0 {
					t.Errorf("later: %v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// After a batch in which nothing was queued nothing waits.
func TestEmptyBatchOfReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 4})
		f.send = taking
		q.BeginReads(2)
		q.LastOfBatch()
		began := time.Now()
		if err := <-enqueue(t, q); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}
