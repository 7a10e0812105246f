package sendqueue

import (
	"math"
	"time"
)

// A handlerBatch is the period in which a handler handles, or readers read, datagrams that were
// received together. What is sent meanwhile leaves when the batch ends.
type handlerBatch struct {
	open  bool // start no worker; the queue is drained at the end
	lone  bool // the batch is a single datagram; what is sent need not wait for its end
	last  bool // what is sent next ends the batch, which is not empty
	most  int  // datagrams to hold back
	guard guard
}

func (b *handlerBatch) end() { b.open, b.lone, b.last = false, false, false }

func (b *handlerBatch) begin(open bool, most int) {
	b.open, b.lone, b.last, b.most = open, !open, false, most
	b.guard.number++
}

// BeginBatch begins a handler's batch. more tells whether it may be more than one datagram.
// EndBatch or AbandonBatch must follow.
func (q *Queue) BeginBatch(more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch.begin(more, math.MaxInt)
}

// BeginReads begins a batch of n datagrams that readers take. Who sends more than that does not
// answer what is read, and need not wait. EndBatch or AbandonBatch must follow.
func (q *Queue) BeginReads(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch.begin(true, n)
}

// EndBatch sends what was queued since BeginBatch.
func (q *Queue) EndBatch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch.end()
	if !q.draining && !q.blocks.empty() {
		q.drainHere()
	}
}

// LastOfBatch lets the next to send end the batch.
func (q *Queue) LastOfBatch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.batch.last = !q.blocks.empty(); !q.batch.last {
		q.batch.end()
	}
}

// AbandonBatch ends a batch and leaves what was queued to a worker.
func (q *Queue) AbandonBatch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch.end()
	if !q.draining && !q.blocks.empty() {
		q.startWorker()
	}
}

// A guard ends a batch that is open for long: the handler may be waiting for the very datagrams that
// would be sent at its end, and a reader may not read again. The timer runs at most once per
// guardDelay, however many batches there are.
type guard struct {
	timer  *time.Timer
	armed  bool
	number uint64 // counts batches
	seen   uint64 // number when the timer was set
}

// guardDelay is the delay for a handler that waits for its own datagrams. A shorter one would show
// in the load of busy servers, whose batches end much sooner.
const guardDelay = time.Millisecond

// arm sets the timer. The queue's mu must be held.
func (g *guard) arm(q *Queue) {
	if g.armed {
		return
	}
	g.armed, g.seen = true, g.number
	q.config.Enter() // Done waits for guardFired
	if g.timer == nil {
		g.timer = time.AfterFunc(guardDelay, q.guardFired)
	} else {
		g.timer.Reset(guardDelay)
	}
}

func (g *guard) stop(q *Queue) {
	if g.armed && g.timer.Stop() {
		g.armed = false
		q.config.Leave()
	}
}

func (q *Queue) guardFired() {
	defer q.config.Leave()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch.guard.armed = false
	switch {
	case !q.batch.open || q.draining || q.blocks.empty():
	case q.batch.guard.seen == q.batch.guard.number:
		q.batch.end()
		q.startWorker()
	default:
		q.batch.guard.arm(q)
	}
}
