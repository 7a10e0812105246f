package send

import "sync/atomic"

// ledger counts what became of datagrams. What the queue did is guarded by the
// queue's mu, what Try did is not: it takes no part in the queue.
type ledger struct {
	sent, bytes, errors            uint64
	tried, triedBytes, triedErrors atomic.Uint64
}

// Counts is what a queue has done, Try included: Accepted = Sent + Errors + Queued.
type Counts struct{ Accepted, Queued, Sent, SentBytes, Errors uint64 }

// Counts returns the counts of one moment.
func (q *Queue) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := &q.ledger
	tried, triedErrors := l.tried.Load(), l.triedErrors.Load()
	return Counts{
		Accepted:  q.accepted + tried + triedErrors,
		Queued:    uint64(q.count),
		Sent:      l.sent + tried,
		SentBytes: l.bytes + l.triedBytes.Load(),
		Errors:    l.errors + triedErrors,
	}
}
