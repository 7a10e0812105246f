package sendqueue

import (
	"net/netip"
	"sync"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
)

// scratch is memory for reordering a block.
type scratch struct {
	grouper   batch.Grouper
	order     [mixedDatagrams]uint16
	datagrams [mixedDatagrams]socket.Outgoing
	accepted  [mixedDatagrams]uint16
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// group reorders the ready datagrams so that those to one destination are adjacent. It keeps their
// order.
func (b *block) group() {
	ready := b.datagrams[b.answered:b.ready]
	if !b.mixed || len(ready) < 2 {
		return
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if order := s.grouper.Group(len(ready), func(i int) netip.AddrPort { return ready[i].Addr }); order != nil {
		b.reorder(s, order)
	}
}

// postpone makes the datagrams ready that need not wait, and moves the others behind them.
func (b *block) postpone(mustWait func(*socket.Outgoing) bool) {
	b.ready = len(b.datagrams)
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	order := s.order[:0]
	var late []uint16
	for i := range b.datagrams[b.answered:] {
		if mustWait(&b.datagrams[b.answered+i]) {
			late = append(late, uint16(i))
		} else {
			order = append(order, uint16(i))
		}
	}
	if len(late) > 0 {
		b.ready = b.answered + len(order)
		b.reorder(s, append(order, late...))
	}
}

// reorder permutes the unanswered datagrams, or the first len(order) of them.
func (b *block) reorder(s *scratch, order []uint16) {
	if !b.reordered() { // all answered ones are settled
		for i := range b.datagrams {
			b.order = append(b.order, uint16(i))
			b.places = append(b.places, 0)
		}
	}
	datagrams, accepted := b.datagrams[b.answered:], b.order[b.answered:]
	copy(s.datagrams[:], datagrams[:len(order)])
	copy(s.accepted[:], accepted[:len(order)])
	for to, from := range order {
		datagrams[to], accepted[to] = s.datagrams[from], s.accepted[from]
	}
	clear(s.datagrams[:len(order)]) // keep no references
}
