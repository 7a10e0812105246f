package datagram

import (
	"context"
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
func shortOf(h *hookedSocket, n int) {
	h.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		if n > 0 {
			n--
			return 0, os.NewSyscallError("sendmmsg", syscall.ENOBUFS)
		}
		return len(ds), nil
	}
}

// queueAnswered queues a datagram and returns where its answer comes out.
func queueAnswered(t *testing.T, c *Conn) <-chan error {
	t.Helper()
	answer := make(chan error, 1)
	if err := c.SendFunc(context.Background(), anywhere, func(err error) { answer <- err }); err != nil {
		t.Fatal(err)
	}
	return answer
}

// What finds no room is tried again, each time after a longer pause, and then fails itself alone.
func TestBackOff(t *testing.T) {
	pauses := firstBackOff<<maxBackOffs - firstBackOff // all of them
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
				c, h := hookedConn(t)
				shortOf(h, test.shortages)
				began := time.Now()
				first, second := queueAnswered(t, c), queueAnswered(t, c)
				if err := <-first; !errors.Is(err, test.first) {
					t.Errorf("%v, want %v", err, test.first)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
				if err := <-second; err != nil {
					t.Errorf("the next one: %v", err)
				}
				if n := c.Stats().Retries; n != uint64(min(test.shortages, maxBackOffs)) {
					t.Errorf("%d retries for %d failures", n, test.shortages)
				}
			})
		})
	}
}

// TrySend does not wait, nor does a caller who sends what is queued.
func TestBackOffIsNotTheCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := hookedConn(t)
		shortOf(h, 2)
		began := time.Now()
		if _, err := c.TrySend(anywhere); !errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) {
			t.Errorf("TrySend: %v, want ENOBUFS", err)
		}
		c.send.hold(true)
		answer := queueAnswered(t, c)
		c.send.unhold()
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
		c, h := hookedConn(t)
		shortOf(h, maxBackOffs+1)
		answer := queueAnswered(t, c)
		synctest.Wait() // in the first pause
		began := time.Now()
		c.Close()
		if err := <-answer; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want net.ErrClosed", err)
		}
		<-c.Done()
		if took := time.Since(began); took > 0 {
			t.Errorf("Close took %v", took)
		}
		if n := c.Stats().Retries; n != 0 {
			t.Errorf("%d retries", n)
		}
	})
}
