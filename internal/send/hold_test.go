package send

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// What a handler queues leaves when its batch ends, on the goroutine of Unhold.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		f.send = taking
		q.Hold(true)
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
		q.Unhold()
		if count, _ := q.Size(); count != 0 {
			t.Error("it was not sent when the batch ended")
		}
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

// A handler that waits for its own datagram gets it out in the end. The time that batches before it took does not
// count.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		f.send = taking
		q.Hold(true)
		first := enqueue(t, q) // sets the timer
		time.Sleep(guardDelay / 2)
		q.Unhold()
		q.Hold(true)
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
		q.Unhold()
		q.Hold(true)
		q.Unhold()
		synctest.Wait() // the timer runs out, and nothing is left to send
	})
}

// What a handler sends that has nothing more to handle leaves at once, on its own goroutine.
func TestHoldOfOne(t *testing.T) {
	q, f := newQueue(t, Config{})
	sent := false
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		sent = true
		return len(ds), nil
	}
	q.Hold(false)
	if err := put(q, 1); err != nil || !sent {
		t.Errorf("%v, sent: %v", err, sent)
	}
	q.Unhold()
}
