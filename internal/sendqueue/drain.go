package sendqueue

import (
	"errors"
	"net"
	"syscall"

	"example.com/datagram/internal/socket"
)

// startWorker starts a worker, which holds draining. mu must be held.
func (q *Queue) startWorker() {
	q.draining = true
	q.config.Enter()
	go q.runWorker()
}

// work drains the queue and calls completion functions until there is nothing left to do.
func (q *Queue) work() {
	defer q.config.Leave()
	q.drain(true)
	if q.config.Look != nil {
		q.config.Look()
	}
	q.mu.Lock()
	mine := !q.completing && !q.completions.empty()
	q.completing = q.completing || mine
	q.mu.Unlock()
	if mine {
		q.callAll()
	}
}

// drainHere drains on the caller's goroutine. Nobody else may be draining. mu must be held;
// drainHere releases it meanwhile.
func (q *Queue) drainHere() {
	q.draining = true
	q.config.Enter() // Done must wait for the answers given here
	defer q.config.Leave()
	q.mu.Unlock()
	defer q.mu.Lock()
	q.drain(false)
}

// drain sends what is queued, block by block, until nothing is left. It is called with draining
// held, and gives it up. When the system has no room, it waits if mayWait is true; otherwise it
// leaves the rest to a worker, as well as whatever others queue meanwhile.
func (q *Queue) drain(mayWait bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.settled
	defer func() { q.pace.drained(q.settled - before) }()
	mine := q.accepted
	for b := q.blocks.take(); b != nil; b = q.blocks.take() {
		if mayWait || q.settled < mine {
			q.sendBlock(b, mayWait)
		}
		if b.done() {
			b.free()
			if !mayWait || !q.blocks.empty() { // otherwise the worker is about to complete
				q.startCompleter()
			}
			continue
		}
		// It will be a while until the next answers, so report those so far.
		q.blocks.putFront(b)
		q.startCompleter()
		q.wake()
		switch {
		case !mayWait:
			q.startWorker()
			return
		case q.blocks.merge(): // those behind need not wait
		default:
			q.pause()
		}
	}
	q.draining = false
	q.wake()
}

// sendBlock sends as much of a block as can be sent now. mu must be held; sendBlock releases it
// during system calls.
func (q *Queue) sendBlock(b *block, mayWait bool) {
	arranged, grouped, waitForRoom := false, false, false
	for !b.done() {
		if q.state == closed {
			q.answer(b, len(b.datagrams), net.ErrClosed)
			return
		}
		group := q.sock.Segments() // may be turned off at any time
		q.mu.Unlock()
		if !arranged {
			arranged = true
			q.shortages.arrange(b, q.sock.Counters())
			if grouped = group || q.shortages.known != nil; grouped {
				b.group()
			}
		}
		ready := b.datagrams[b.answered:b.ready]
		n, err := q.submit(ready, waitForRoom)
		q.mu.Lock()
		if len(ready) == 0 {
			return // the rest is pausing
		}
		q.answer(b, n, nil)
		waitForRoom = false
		switch {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN):
			if !mayWait {
				return
			}
			q.startCompleter()
			q.wake()
			waitForRoom = true
			continue
		case errors.Is(err, syscall.ENOBUFS) && !b.done() && q.shortages.mayPause(&b.datagrams[b.answered]):
			if !mayWait {
				return // the worker tries those to other destinations
			}
			arranged = grouped && q.shortages.postponeFirst(b)
			continue
		case errors.Is(err, net.ErrClosed):
			q.answer(b, len(b.datagrams), err)
		default:
			q.answer(b, 1, err)
		}
		// Wake once for many answers, not for each.
		if q.flushing > 0 || q.count <= q.config.Count/2 && q.bytes <= q.config.Bytes/2 {
			q.wake()
		}
	}
}

// submit makes one attempt to send datagrams, if there are any. It counts ENOBUFS here, not in the
// socket, since injected faults return it too.
func (q *Queue) submit(ds []socket.Outgoing, wait bool) (int, error) {
	if len(ds) == 0 {
		return 0, nil
	}
	counters := q.sock.Counters()
	met := counters.NetworkErrors.Load()
	n, err := q.sock.Send(ds, wait)
	if errors.Is(err, syscall.ENOBUFS) {
		counters.NoBuffers.Add(1)
	}
	if q.config.Look != nil && counters.NetworkErrors.Load() != met {
		q.config.Look() // there may be no receiver to read what the send encountered
	}
	return n, err
}

// answer records the socket's answer to the next n datagrams of a block. mu must be held.
func (q *Queue) answer(b *block, n int, err error) {
	n = min(n, len(b.datagrams)-b.answered)
	first := b.answered
	bytes := b.answer(n, err)
	q.count -= n
	q.bytes -= bytes
	q.ledger.answer(n, bytes, err)
	if err != nil {
		q.fail(b, first, err)
	} else {
		q.shortages.end(b.datagrams[first:b.answered])
	}
	from, to := b.settle()
	q.settled += uint64(to - from)
	for i := from; i < to && b.awaited; i++ {
		if t := &b.tails[i]; t.done != nil {
			q.completions.add(t, b.datagram(i))
		}
	}
}

// fail reports the failures that no completion function gets, from first to the last answered
// datagram of a block.
func (q *Queue) fail(b *block, first int, err error) {
	if q.config.Failed == nil {
		return
	}
	for place := first; place < b.answered; place++ {
		if b.tails[b.accepted(place)].done == nil {
			q.config.Failed(b.datagrams[place].Addr, b.datagrams[place].Name, err)
		}
	}
}
