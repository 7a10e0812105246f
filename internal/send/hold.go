package send

import "time"

// Hold tells that a batch of received datagrams is being handled, of one or of
// more, after which Unhold is called on the same goroutine.
func (q *Queue) Hold(more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handling, q.held = !more, more
	q.guard.batch++
}

// Unhold sends what was queued since Hold.
func (q *Queue) Unhold() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.handling, q.held = false, false
	if !q.draining && !q.waiting.Empty() {
		q.drainHere()
	}
}

// A guard starts a worker when a handler keeps its batch open for long: it may
// be waiting for the very datagrams that would be sent at the end of the batch.
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

// arm sets the timer. The queue's mu must be held.
func (g *guard) arm(q *Queue) {
	if g.armed {
		return
	}
	g.armed, g.seen = true, g.batch
	if g.timer == nil {
		g.timer = time.AfterFunc(guardDelay, q.guardFired)
	} else {
		g.timer.Reset(guardDelay)
	}
}

func (g *guard) stop() {
	if g.timer != nil {
		g.timer.Stop()
	}
}

func (q *Queue) guardFired() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.guard.armed = false
	switch {
	case !q.held || q.draining || q.waiting.Empty():
	case q.guard.seen == q.guard.batch:
		q.startWorker()
	default:
		q.guard.arm(q)
	}
}
