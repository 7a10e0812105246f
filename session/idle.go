package session

import (
	"container/heap"
	"os"
	"time"
)

// errIdle is why an idle session has ended.
var errIdle = os.ErrDeadlineExceeded

// A sessionHeap contains sessions in the order in which they are to be checked (container/heap). A
// datagram only notes its time in its session; the check finds that, and when the next is due.
type sessionHeap []*Conn

func (s sessionHeap) Len() int           { return len(s) }
func (s sessionHeap) Less(i, j int) bool { return s[i].check < s[j].check }

func (s sessionHeap) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

func (s *sessionHeap) Push(c any) {
	c.(*Conn).index = len(*s)
	*s = append(*s, c.(*Conn))
}

func (s *sessionHeap) Pop() any {
	last := len(*s) - 1
	c := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return c
}

// checksPerTimeout is how often the timer fires in an idle time-out, at most.
const checksPerTimeout = 16

// now returns the time, in nanoseconds.
func (l *Listener) now() int64 { return int64(time.Since(l.epoch)) }

// noteActive notes that a datagram goes one way or the other. While the listener calls the program's functions, time
// passes between the datagrams of a batch.
func (c *Conn) noteActive() { c.active.Store(c.handle.listener.now()) }

// watch adds a session to those that are checked. mu must be held.
func (l *Listener) watch(c *Conn) {
	c.check = c.active.Load() + int64(l.config.IdleTimeout)
	heap.Push(&l.open, c)
	if !l.armed && l.config.IdleTimeout != never {
		l.arm(l.config.IdleTimeout)
	}
}

// unwatch removes a session. mu must be held.
func (l *Listener) unwatch(c *Conn) { heap.Remove(&l.open, c.index) }

// arm sets the timer. mu must be held.
func (l *Listener) arm(wait time.Duration) {
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, l.expire)
	} else {
		l.timer.Reset(wait)
	}
}

// expire ends idle sessions.
func (l *Listener) expire() {
	now := l.now()
	for l.checkFirst(now) {
	}
}

// checkFirst checks the first session if that is due, or sets the timer, and reports whether to go
// on. It checks one, so that mu is not held for long.
func (l *Listener) checkFirst(now int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) == 0 {
		l.armed = false
		return false
	}
	c := l.open[0]
	if c.check > now {
		l.arm(max(time.Duration(c.check-now), l.config.IdleTimeout/checksPerTimeout))
		return false
	}
	c.check = c.active.Load() + int64(l.config.IdleTimeout)
	if c.check <= now {
		l.end(c, errIdle)
	} else {
		heap.Fix(&l.open, 0)
	}
	return true
}
