package datagramtest

import (
	"cmp"
	"container/heap"
	"time"
)

// An event is something that happens at its time: a packet arrives, or run is
// called.
type event struct {
	at     time.Duration
	order  uint64 // among those at the same time
	packet *packet
	run    func()
}

// happen makes an event happen. mu must be held.
func (n *Network) happen(e *event) {
	n.planned++
	e.order = n.planned
	heap.Push(&n.events, e)
}

// advance lets everything happen whose time has come. mu must be held.
func (n *Network) advance() {
	for len(n.events) > 0 && n.events[0].at <= n.now() {
		e := heap.Pop(&n.events).(*event)
		if e.packet != nil {
			n.arrive(e.packet)
		} else {
			e.run()
		}
	}
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
	n.wait()
}

// An eventQueue is a [heap.Interface] of events, the next one first.
type eventQueue []*event

func (q eventQueue) Len() int { return len(q) }

func (q eventQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].at, q[j].at), cmp.Compare(q[i].order, q[j].order)) < 0
}

func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *eventQueue) Push(x any) { *q = append(*q, x.(*event)) }

func (q *eventQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
