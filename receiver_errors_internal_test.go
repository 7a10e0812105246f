package datagram

import (
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// timedSocket is a failingSocket that takes note of when it was asked.
type timedSocket struct {
	*failingSocket
	mu    sync.Mutex
	asked []time.Time
}

func (s *timedSocket) Receive(b *socket.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	return s.failingSocket.Receive(b)
}

// After a pause the socket is asked twice: the error that has come meanwhile may hide a datagram.
func TestTwoTriesAfterPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, failing := failingConn(t, syscall.ECONNREFUSED)
		s := &timedSocket{failingSocket: failing}
		c.recv.attach(&openSocket{Socket: s, info: s.Info()})
		c.Recv()
		time.Sleep(time.Second)
		c.Close()
		synctest.Wait()
		var pauses []time.Duration // after each time but the last
		for i := range len(s.asked) - 1 {
			pauses = append(pauses, s.asked[i+1].Sub(s.asked[i]))
		}
		want := append(make([]time.Duration, patience), 4*time.Millisecond, 0, 16*time.Millisecond, 0, 64*time.Millisecond, 0, maxPause, 0, maxPause)
		if len(pauses) < len(want) || !slices.Equal(pauses[:len(want)], want) {
			t.Errorf("paused %v, want %v", pauses, want)
		}
	})
}
