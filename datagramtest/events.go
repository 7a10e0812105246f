package datagramtest

import (
	"cmp"
	"container/heap"
	"time"
)

// An event is something that happens at its time: a packet arrives, or its sender
// learns that it was refused.
type event struct {
	at      time.Duration
	packet  *packet
	refusal bool
	planned uint64 // how many events were planned by then
}

// before says in which order events happen. At one instant that must not depend
// on which of the senders came first, so it is the order of their addresses,
// and of the datagrams on each path.
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

// happen makes an event happen. mu must be held.
func (n *Network) happen(e *event) {
	n.planned++
	e.planned = n.planned
	heap.Push(&n.events, e)
}

// lock locks the network and lets everything happen that is due: the timer's goroutine may not have
// had its turn yet, and nobody must be able to tell.
func (n *Network) lock() {
	n.mu.Lock()
	n.advance()
}

// advance lets everything happen whose time has come. mu must be held.
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

// An eventQueue is a [heap.Interface] of events, the next one first.
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
