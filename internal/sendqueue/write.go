package sendqueue

import (
	"context"
	"errors"
	"syscall"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// Write accepts what the program writes in one call: a datagram or, if segment is not 0, a run of
// datagrams of segment bytes, of which the last may be shorter. It waits for room for all of them
// until ctx ends. Everything is copied, including control, which replaces d.Control. segment is at
// most [buffer.Size].
//
// If the caller sends a lone datagram by itself, Write returns the system's answer. Otherwise a
// failure is reported like that of Enqueue without a completion function.
func (q *Queue) Write(ctx context.Context, d *socket.Outgoing, control *socket.Control, segment int) error {
	size := len(d.Payload)
	n := batch.Segments(size, segment)
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.makeRoom(ctx, n, size); err != nil {
		return err
	}
	if n > 1 {
		q.appendRun(d, control, segment)
		q.dispatchNow(true) // it gains nothing from company
		return nil
	}
	if !q.draining && q.blocks.empty() && !q.batch.open && q.shortages.known == nil && q.pace.isSlow(q.batch.lone) {
		return q.sendAlone(d, control)
	}
	q.append(d, control, nil, size, nil)
	q.dispatch(true)
	return nil
}

// sendAlone sends a datagram on the caller's goroutine and returns the answer. Nothing may be queued.
// It copies the payload only if the system has no room, and then leaves the datagram to a worker. mu
// must be held; sendAlone releases it during the system call.
func (q *Queue) sendAlone(d *socket.Outgoing, control *socket.Control) error {
	size := len(d.Payload)
	q.accept(1, size)
	q.draining = true
	q.config.Enter() // Done must wait for the answer
	defer q.config.Leave()
	q.lone.fill(d, control)
	q.mu.Unlock()
	_, err := q.submit(q.lone.datagram[:], false)
	q.mu.Lock()
	q.lone = lone{}
	q.pace.drained(1)
	q.pace.sent()
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) && q.shortages.mayPause(d) {
		q.blocks.prepend(d, control)
		q.startWorker()
		return nil
	}
	q.count--
	q.bytes -= size
	q.settled++
	q.ledger.answer(1, size, err)
	if !q.blocks.empty() {
		q.startWorker()
		return err
	}
	q.draining = false
	q.wake()
	return err
}

// A lone is a datagram that its sender gives to the socket itself, without a block.
type lone struct {
	datagram [1]socket.Outgoing
	control  socket.Control
}

func (l *lone) fill(d *socket.Outgoing, control *socket.Control) {
	l.datagram[0] = *d
	if control != nil {
		l.control = *control
		l.datagram[0].Control = &l.control
	}
}

// appendRun adds the datagrams of segment bytes that d's payload consists of. They share a copy, as
// far as a message can carry them. mu must be held.
func (q *Queue) appendRun(d *socket.Outgoing, control *socket.Control, segment int) {
	q.accept(batch.Segments(len(d.Payload), segment), len(d.Payload))
	message := segment * min(batch.MaxSegments, buffer.Size/segment)
	part := *d
	for rest := d.Payload; len(rest) > 0; {
		n := min(message, len(rest))
		part.Payload, rest = rest[:n], rest[n:]
		q.blocks.appendRun(&part, control, segment)
	}
}
