package datagramtest

import (
	"cmp"
	"container/heap"
	"time"
)

// An event is the arrival of a packet, or of the news that it was refused at its sender.
type event struct {
	at      time.Duration
	packet  *packet
	refusal bool
	planned uint64 // ordinal among all events
}

// before reports whether e happens before other. Events at the same instant are ordered by the
// addresses of their datagrams and their ordinals on each path, since the order must not depend on
// which sender ran first.
func (e *event) before(other *event) bool {
	if e.at != other.at {
		return e.at < other.at
	}
	p, q := e.packet, other.packet
	return cmp.Or(
		p.from.Compare(q.from), p.to.Compare(q.to), p.host.Compare(q.host),
		cmp.Compare(p.number, q.number), cmp.Compare(p.copy, q.copy),
		cmp.Compare(e.planned, other.planned),
	) < 0
}

// happen schedules an event. mu must be held.
func (n *Network) happen(e *event) {
	n.planned++
	e.planned = n.planned
	heap.Push(&n.events, e)
}

// lock locks the network and processes all events that are due. The timer's goroutine may not have
// run yet, and callers must not notice.
func (n *Network) lock() {
	n.mu.Lock()
	n.advance()
}

// advance processes all events that are due. mu must be held.
func (n *Network) advance() {
	for now := n.now(); len(n.events) > 0 && n.events[0].at <= now; now = n.now() {
		if e := heap.Pop(&n.events).(*event); e.refusal {
			e.packet.refused()
		} else {
			n.arrive(e.packet)
		}
	}
	n.wait()
}

// wait sets the timer to the next event. mu must be held.
func (n *Network) wait() {
	if len(n.events) == 0 || n.armed == n.events[0].at {
		return
	}
	n.armed = n.events[0].at
	if in := n.armed - n.now(); n.timer == nil {
		n.timer = time.AfterFunc(in, n.tick)
	} else {
		n.timer.Reset(in)
	}
}

// tick is called by the timer.
func (n *Network) tick() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.armed = 0
	n.advance()
}

// An eventQueue is a [heap.Interface] of events, the earliest first.
type eventQueue []*event

func (q eventQueue) Len() int { return len(q) }

func (q eventQueue) Less(i, j int) bool { return q[i].before(q[j]) }

func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *eventQueue) Push(x any) { *q = append(*q, x.(*event)) }

func (q *eventQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
