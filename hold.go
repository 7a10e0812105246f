package datagram

import (
	"time"
)

// hold tells that a batch of received datagrams is being handled, of one or of
// more, after which unhold is called on the same goroutine.
func (s *sender) hold(more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handling, s.held = !more, more
	s.guard.batch++
}

// unhold sends what was queued since hold.
func (s *sender) unhold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handling, s.held = false, false
	if !s.draining && !s.waiting.Empty() {
		s.drainHere(s.conn.socket())
	}
}

// A guard starts a worker when a handler keeps its batch open for long: it may be
// waiting for the very datagrams that would be sent at the end of the batch.
// Its timer runs at most once in a guardDelay, however many batches there are.
type guard struct {
	timer *time.Timer
	armed bool
	batch uint64 // counts batches
	seen  uint64 // the batch that was open when the timer was set
}

// guardDelay is what a handler that waits for its own datagrams loses. A shorter one
// would show in the load of a busy server, whose batches end much sooner.
const guardDelay = time.Millisecond

// arm sets the timer. The sender's mu must be held.
func (g *guard) arm(s *sender) {
	if g.armed {
		return
	}
	g.armed, g.seen = true, g.batch
	if g.timer == nil {
		g.timer = time.AfterFunc(guardDelay, s.guardFired)
	} else {
		g.timer.Reset(guardDelay)
	}
}

func (g *guard) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

func (s *sender) guardFired() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guard.armed = false
	switch {
	case !s.held || s.draining || s.waiting.Empty():
	case s.guard.seen == s.guard.batch:
		s.startWorker()
	default:
		s.guard.arm(s)
	}
}
