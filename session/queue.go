package session

import (
	"sync"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
)

// A queue contains the datagrams that wait for a session's reader. Their payloads have their own
// memory, so that they pin no other. An empty queue holds none.
type queue struct {
	first, last *item
	n           int
}

type item struct {
	datagram datagram.Datagram
	next     *item
}

var items = sync.Pool{New: func() any { return new(item) }}

// push adds a datagram, and takes over its lease.
func (q *queue) push(d *datagram.Datagram) {
	hook.Detach(d)
	it := items.Get().(*item)
	it.datagram = *d
	if q.first == nil {
		q.first = it
	} else {
		q.last.next = it
	}
	q.last = it
	q.n++
}

// pop removes the oldest datagram, stores it in d, and reports whether there was one.
func (q *queue) pop(d *datagram.Datagram) bool {
	it := q.first
	if it == nil {
		return false
	}
	*d = it.datagram
	q.first = it.next
	if q.first == nil {
		q.last = nil
	}
	q.n--
	*it = item{}
	items.Put(it)
	return true
}
