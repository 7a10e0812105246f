package queue

import (
	"net/netip"
	"sync"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
)

// scratch is what reordering a block takes.
type scratch struct {
	grouper   batch.Grouper
	datagrams [mixedDatagrams]socket.Outgoing
	tails     [mixedDatagrams]Tail
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Group makes datagrams to one destination follow one another, once for a block and
// before any of it is sent. Order among those to one destination is kept.
func (b *Block) Group() {
	if b.Answered > 0 || b.grouped() || !b.mixed {
		return
	}
	s := scratches.Get().(*scratch)
	used := 0
	defer func() { s.free(used) }()
	order := s.grouper.Group(len(b.Datagrams), func(i int) netip.AddrPort { return b.Datagrams[i].Addr })
	if order == nil {
		return
	}
	b.order = append(b.order, order...)
	used = len(b.Datagrams)
	copy(s.datagrams[:], b.Datagrams)
	copy(s.tails[:], b.Tails)
	for to, from := range order {
		b.Datagrams[to], b.Tails[to] = s.datagrams[from], s.tails[from]
	}
}

// Ungroup restores the order in which the datagrams were accepted.
func (b *Block) Ungroup() {
	if !b.grouped() {
		return
	}
	s := scratches.Get().(*scratch)
	defer s.free(len(b.Datagrams))
	copy(s.datagrams[:], b.Datagrams)
	copy(s.tails[:], b.Tails)
	for from, to := range b.order {
		b.Datagrams[to], b.Tails[to] = s.datagrams[from], s.tails[from]
	}
	b.order = b.order[:0]
}

// grouped says whether the datagrams stand in another order than they were accepted in.
func (b *Block) grouped() bool { return len(b.order) > 0 }

// free gives back scratch memory of which n datagrams were used.
func (s *scratch) free(n int) {
	clear(s.datagrams[:n])
	clear(s.tails[:n])
	scratches.Put(s)
}
