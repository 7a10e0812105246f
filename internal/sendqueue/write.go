package sendqueue

import (
	"context"

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
	if q.isAlone() {
		return q.sendAlone(d, control)
	}
	q.append(d, control, nil, size, nil)
	q.dispatch(true)
	return nil
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
