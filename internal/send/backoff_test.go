package send

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// shortOf makes a socket have no room for the first n attempts.
func shortOf(f *fakeSocket, n int) {
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		if n > 0 {
			n--
			return 0, os.NewSyscallError("sendmmsg", syscall.ENOBUFS)
		}
		return len(ds), nil
	}
}

// What finds no room is tried again, each time after a longer pause, and then fails itself alone.
func TestBackOff(t *testing.T) {
	const pauses = 12700 * time.Microsecond // all of them
	for _, test := range []struct {
		name      string
		shortages int
		first     error
		took      time.Duration
	}{
		{"room at the third attempt", 2, nil, firstBackOff + 2*firstBackOff},
		{"room at the last attempt", maxBackOffs, nil, pauses},
		{"no room", maxBackOffs + 1, syscall.ENOBUFS, pauses},
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
				if retries != uint64(min(test.shortages, maxBackOffs)) || shortages != uint64(test.shortages) {
					t.Errorf("%d retries, %d failures of %d", retries, shortages, test.shortages)
				}
			})
		})
	}
}

// Try does not wait, nor does a caller who sends what is queued.
func TestBackOffIsNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		shortOf(f, 2)
		began := time.Now()
		if _, err := q.Try(make([]socket.Outgoing, 1)); !errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) {
			t.Errorf("Try: %v, want ENOBUFS", err)
		}
		q.Hold(true)
		answer := enqueue(t, q)
		q.Unhold()
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
		shortOf(f, maxBackOffs+1)
		answer := enqueue(t, q)
		synctest.Wait() // in the first pause
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
