package sendqueue

import "sync/atomic"

// ledger counts outcomes. The queue's mu guards those of the queue. Those of Try are atomic, since
// Try does not take part in the queue.
type ledger struct {
	sent, bytes, errors            uint64
	tried, triedBytes, triedErrors atomic.Uint64
}

// answer counts the socket's answer to n datagrams of size bytes together.
func (l *ledger) answer(n, size int, err error) {
	if err != nil {
		l.errors += uint64(n)
		return
	}
	l.sent += uint64(n)
	l.bytes += uint64(size)
}

// Counts are a queue's counters, including those of Try: Accepted = Sent + Errors + Queued.
type Counts struct{ Accepted, Queued, Sent, SentBytes, Errors uint64 }

// Counts returns the counters at one moment.
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
