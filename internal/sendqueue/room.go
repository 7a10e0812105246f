package sendqueue

import (
	"container/list"
	"context"
	"errors"
	"net"
)

// NeverWait is the context of callers that do not wait for room.
var NeverWait context.Context

// ErrFull is returned if there is no room and the context is NeverWait.
var ErrFull = errors.New("no room")

// room is the line of those waiting for room. As with Go's channels, the first to come is the first
// served, and nobody passes the line. Room is set aside for an admitted waiter, since others may
// run before it does.
type room struct {
	line         list.List // of *waiter
	count, bytes int       // set aside for admitted waiters
}

// A waiter waits for room for datagrams that enter together.
type waiter struct {
	count    int // datagrams
	size     int // their payloads
	admitted bool
	ready    chan struct{} // closed when the waiter is no longer in line
}

// hasRoom reports whether there is room for n more datagrams of size bytes together. What exceeds
// the limits by itself has room in an empty queue. mu must be held.
func (q *Queue) hasRoom(n, size int) bool {
	count, bytes := q.count+q.room.count, q.bytes+q.room.bytes
	return count == 0 || n <= q.config.Count-count && size <= q.config.Bytes-bytes
}

// mayEnter reports whether n datagrams of size bytes together are accepted at once. mu must be held.
func (q *Queue) mayEnter(n, size int) bool {
	return q.state == open && q.room.line.Len() == 0 && q.hasRoom(n, size)
}

// makeRoom waits for room for n datagrams of size bytes together, or returns why there will be none.
// mu must be held.
func (q *Queue) makeRoom(ctx context.Context, n, size int) error {
	switch {
	case q.mayEnter(n, size):
		return nil
	case q.state != open:
		return net.ErrClosed
	case ctx == NeverWait:
		return ErrFull
	}
	w := &waiter{count: n, size: size, ready: make(chan struct{})}
	place := q.room.line.PushBack(w)
	if !q.draining && !q.blocks.empty() {
		q.drainHere()
	}
	q.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
	}
	q.mu.Lock()
	if w.admitted {
		q.room.count -= n
		q.room.bytes -= size
	}
	switch {
	case q.state != open:
		return net.ErrClosed
	case w.admitted:
		return nil
	}
	q.room.line.Remove(place)
	q.admit() // those behind may need less
	return ctx.Err()
}

// admit admits waiters for whom there is room. mu must be held.
func (q *Queue) admit() {
	for place := q.room.line.Front(); place != nil; place = q.room.line.Front() {
		w := place.Value.(*waiter)
		if !q.hasRoom(w.count, w.size) {
			return
		}
		q.room.line.Remove(place)
		q.room.count += w.count
		q.room.bytes += w.size
		w.admitted = true
		close(w.ready)
	}
}

// dismiss removes all waiters from the line. mu must be held.
func (q *Queue) dismiss() {
	for place := q.room.line.Front(); place != nil; place = q.room.line.Front() {
		close(q.room.line.Remove(place).(*waiter).ready)
	}
}
