package send

import "example.com/datagram/internal/queue"

// startReporter makes sure that somebody reports what is answered. mu must be
// held.
func (q *Queue) startReporter() {
	if !q.reporting && !q.answered.Empty() {
		q.reporting = true
		q.config.Enter()
		go q.report()
	}
}

func (q *Queue) runReporter() {
	defer q.config.Leave()
	q.reportAll()
}

// reportAll calls completion functions until there are none to call. It is called with
// reporting held and gives it up.
func (q *Queue) reportAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer func() {
		q.reporting = false
		q.startReporter() // if a completion function has ended this goroutine
		q.wake()
	}()
	for b := q.answered.Take(); b != nil; b = q.answered.Take() {
		q.tell(b)
	}
}

// tell calls the completion functions of a block. mu must be held and is not meanwhile.
func (q *Queue) tell(b *queue.Block) {
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		if b.Told < len(b.Tails) {
			q.answered.PutFront(b)
		} else {
			b.Free()
		}
	}()
	for b.Told < len(b.Tails) {
		d, tail := &b.Datagrams[b.Told], &b.Tails[b.Told]
		b.Told++
		done := tail.Done
		if done == nil && tail.Err != nil {
			done = q.config.Failed
		}
		if done != nil {
			done(q.config.Describe(d, tail.Err))
		}
	}
}
