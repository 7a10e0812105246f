package send

import (
	"errors"
	"net"
	"syscall"

	"example.com/datagram/internal/queue"
	"example.com/datagram/internal/socket"
)

// startWorker starts a worker that holds draining. mu must be held.
func (q *Queue) startWorker() {
	q.draining = true
	q.config.Enter()
	go q.work()
}

// runWorker drains the queue and reports. It ends when there is nothing left to do.
func (q *Queue) runWorker() {
	defer q.config.Leave()
	q.drain(true)
	if q.config.Look != nil {
		q.config.Look()
	}
	q.mu.Lock()
	mine := !q.reporting && !q.answered.Empty()
	q.reporting = q.reporting || mine
	q.mu.Unlock()
	if mine {
		q.reportAll()
	}
}

// drainHere drains on the caller's goroutine, when nobody else does. mu must be held and is
// not meanwhile.
func (q *Queue) drainHere() {
	q.draining = true
	q.config.Enter() // the handle's end waits for what this answers for
	defer q.config.Leave()
	q.mu.Unlock()
	defer q.mu.Lock()
	q.drain(false)
}

// drain hands over what is queued, block by block, until nothing is left. It is
// called with draining held and gives it up. When the kernel has no room it
// waits, or if it may not leaves the rest to a worker, as it does with what
// others queue meanwhile.
func (q *Queue) drain(wait bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.finished
	defer func() { q.pace.Drained(q.finished - before) }()
	mine := q.accepted
	for b := q.waiting.Take(); b != nil; b = q.waiting.Take() {
		if !wait && q.finished >= mine {
			q.waiting.PutFront(b)
			q.startWorker()
			return
		}
		if !q.handOver(b, wait) {
			q.waiting.PutFront(b)
			q.startWorker()
			return
		}
		q.finish(b, wait && q.waiting.Empty())
	}
	q.draining = false
	q.wake()
}

// finish is called with a block that was answered for. It makes sure that
// somebody reports it; last says that the caller is about to. mu must be held.
func (q *Queue) finish(b *queue.Block, last bool) {
	q.finished += uint64(len(b.Datagrams))
	if !b.Report {
		b.Free()
		return
	}
	b.Ungroup()
	q.answered.Put(b)
	if !last {
		q.startReporter()
	}
}

// handOver hands over one block and reports whether all of it was answered for:
// if not the kernel has no room. mu must be held and is not during system
// calls.
func (q *Queue) handOver(b *queue.Block, wait bool) bool {
	backOffs := 0 // for the datagram whose turn it is
	for block := false; b.Answered < len(b.Datagrams); {
		if q.state == closed {
			q.answer(b, len(b.Datagrams), net.ErrClosed)
			break
		}
		group := q.segments
		q.mu.Unlock()
		if group {
			b.Group()
		}
		n, err := q.hand(b.Datagrams[b.Answered:], block)
		q.mu.Lock()
		q.answer(b, n, nil)
		block = false
		if n > 0 {
			backOffs = 0
		}
		switch short := errors.Is(err, syscall.ENOBUFS); {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN), short && backOffs < maxBackOffs:
			// It will be a while until there is more: who waits for what there is goes on.
			q.wake()
			if done := b.SplitAnswered(); done != nil {
				q.finish(done, false)
			}
			switch {
			case !wait:
				return false
			case short:
				q.backOff(backOffs)
				backOffs++
			default:
				block = true
			}
			continue
		case errors.Is(err, net.ErrClosed):
			q.answer(b, len(b.Datagrams), err)
		default:
			q.answer(b, 1, err)
			backOffs = 0
		}
		// Wake once for many, not for each.
		if q.flushing > 0 || q.count <= q.config.Count/2 && q.bytes <= q.config.Bytes/2 {
			q.wake()
		}
	}
	return true
}

// hand hands datagrams to the socket, and counts where there is no place for one: what stands
// between handle and system may say so too.
func (q *Queue) hand(ds []socket.Outgoing, wait bool) (int, error) {
	counters := q.sock.Counters()
	met := counters.NetworkErrors.Load()
	n, err := q.sock.Send(ds, wait)
	if errors.Is(err, syscall.ENOBUFS) {
		counters.NoBuffers.Add(1)
	}
	if q.config.Look != nil && counters.NetworkErrors.Load() != met {
		q.config.Look() // nobody who receives may notice what the send has met
	}
	return n, err
}

// answer takes note of the kernel's answer for the next n datagrams of a block.
// mu must be held.
func (q *Queue) answer(b *queue.Block, n int, err error) {
	n = min(n, len(b.Tails)-b.Answered)
	bytes := 0
	for i := range b.Tails[b.Answered : b.Answered+n] {
		tail := &b.Tails[b.Answered+i]
		tail.Err = err
		bytes += tail.Size
	}
	b.Answered += n
	q.count -= n
	q.bytes -= bytes
	if err != nil {
		q.ledger.errors += uint64(n)
		b.Report = b.Report || q.config.Failed != nil
	} else {
		q.ledger.sent += uint64(n)
		q.ledger.bytes += uint64(bytes)
	}
}
