package sendqueue

import (
	"context"
	"math"
	"syscall"

	"example.com/datagram/internal/socket"
)

// Enqueue accepts a datagram. It waits for room until ctx ends, or not at all with NeverWait. The
// payload is d.Payload followed by bufs. Everything but done is copied, including control, which
// replaces d.Control.
func (q *Queue) Enqueue(ctx context.Context, d *socket.Outgoing, control *socket.Control, bufs [][]byte, done func(error)) error {
	size, err := Total(d.Payload, bufs)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.makeRoom(ctx, 1, size); err != nil {
		return err
	}
	if done == nil && len(bufs) == 0 && q.isAlone() {
		if err := q.sendAlone(d, control); err != nil && q.config.Failed != nil {
			q.config.Failed(d.Addr, d.Name, err)
		}
		return nil
	}
	q.append(d, control, bufs, size, done)
	q.dispatch(done == nil)
	return nil
}

// A Source is a series of datagrams to send.
type Source interface {
	// Next returns datagram i and its control, which may be nil, or why it cannot be sent. Both are
	// valid until the next call. Next is called when the datagram's turn comes, must not wait, and
	// may be called again for the same datagram.
	Next(i int) (*socket.Outgoing, *socket.Control, error)
}

// EnqueueAll accepts n datagrams of a source, in order. As long as there is room, no others come
// between them; otherwise it waits for room until ctx ends. It returns how many it accepted, and why
// not all.
func (q *Queue) EnqueueAll(ctx context.Context, n int, source Source) (accepted int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pending := false // something was appended since the last dispatch
	defer func() {
		if pending {
			q.dispatch(true)
		}
	}()
	for accepted < n {
		d, control, err := source.Next(accepted)
		if err != nil {
			return accepted, err
		}
		if !q.mayEnter(1, len(d.Payload)) {
			if pending {
				pending = false
				q.dispatch(false)
			}
			if err := q.makeRoom(ctx, 1, len(d.Payload)); err != nil {
				return accepted, err
			}
			if d, control, err = source.Next(accepted); err != nil {
				q.admit() // there is room for those behind
				return accepted, err
			}
		}
		q.append(d, control, nil, len(d.Payload), nil)
		pending = true
		accepted++
	}
	return accepted, nil
}

// Total returns the size of a payload in pieces. Pieces that share memory may exceed a 32-bit int,
// and what any system can send; that is EMSGSIZE.
func Total(payload []byte, bufs [][]byte) (int, error) {
	size := len(payload)
	for _, b := range bufs {
		if len(b) > math.MaxInt-size {
			return 0, syscall.EMSGSIZE
		}
		size += len(b)
	}
	return size, nil
}

// TooLong is one more than the largest length in a UDP header (RFC 768).
const TooLong = 65535 + 1

// append adds a datagram to the queue. mu must be held.
func (q *Queue) append(d *socket.Outgoing, control *socket.Control, bufs [][]byte, size int, done func(error)) {
	kept := size
	if q.udp {
		// The kernel gives the same answer to a datagram that is only a little too long, and there
		// is less to copy.
		kept = min(size, TooLong)
	}
	payload := q.blocks.append(d, control, kept, tail{size: size, done: done})
	payload = payload[copy(payload, d.Payload):]
	for _, b := range bufs {
		payload = payload[copy(payload, b):]
	}
	q.accept(1, size)
}

// accept counts n datagrams of size bytes together that entered the queue. mu must be held.
func (q *Queue) accept(n, size int) {
	q.count += n
	q.bytes += size
	q.accepted += uint64(n)
}

// dispatch makes sure, after an append, that the queue is drained, at the end of a batch if one is
// open. The caller may drain it itself if mayDrain is true. mu must be held.
func (q *Queue) dispatch(mayDrain bool) {
	switch {
	case q.batch.last && mayDrain && !q.draining:
		q.batch.end()
		q.drainHere()
		q.pace.sent()
	case q.draining || !q.batch.open || q.count > q.batch.most || q.room.line.Len() > 0:
		q.dispatchNow(mayDrain)
	default:
		q.batch.guard.arm(q)
	}
}

// dispatchNow is dispatch whether or not a batch is open. mu must be held.
func (q *Queue) dispatchNow(mayDrain bool) {
	switch {
	case q.draining:
		if q.pausing && q.blocks.mayMerge() {
			q.wake() // the new datagram may go to another destination
		}
	case mayDrain && q.pace.isSlow(q.batch.lone):
		q.drainHere()
		q.pace.sent()
	default:
		q.startWorker()
	}
}
