package sendqueue

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"example.com/datagram/internal/socket"
)

// If the system has no memory for a datagram, or its device or queueing discipline no room, the
// error is ENOBUFS, and nothing tells when to try again. On Linux it is seen only with
// WithNetworkErrors (ip(7), IP_RECVERR); on macOS and the BSDs it means a full device queue. The
// datagram is retried after pauses of 0.1, 0.2, 0.4 … 6.4 ms. In that time a link of 100 Mbit/s
// sends a hundred full frames, about as many as its queue is likely to hold.
const (
	maxPauses  = 7
	firstPause = 100 * time.Microsecond
)

// shortages records the destinations without room at the last attempt. A pausing datagram is
// overtaken by those to other destinations that fit into its block (see merge). When a datagram has
// used up its pauses, those behind it to the same destination fail without any, until one is sent.
type shortages struct {
	known map[destination]*shortage
	next  time.Time // end of the first pause, if arrange has found one
}

type shortage struct {
	pauses int       // of the datagram whose turn it is
	until  time.Time // end of the pause, zero if there is none
}

// A destination is a map key for an address.
type destination struct {
	addr netip.AddrPort
	name string
}

// maxShortages limits the memory for destinations, which strangers may choose, to about 100 KiB. It
// is as many as one block can have.
const maxShortages = mixedDatagrams

func destinationOf(d *socket.Outgoing) destination {
	if d.Name != nil && d.Name.Addr != nil {
		return destination{name: d.Name.Addr.String()}
	}
	return destination{addr: d.Addr}
}

// mayPause records that there was no room for d, and reports whether d may pause; otherwise it
// fails.
func (s *shortages) mayPause(d *socket.Outgoing) bool {
	to := destinationOf(d)
	if s.known == nil {
		s.known = make(map[destination]*shortage)
	}
	short := s.known[to]
	if short == nil {
		if len(s.known) >= maxShortages {
			for other := range s.known { // any one; it gets its pauses anew
				delete(s.known, other)
				break
			}
		}
		short = new(shortage)
		s.known[to] = short
	}
	if short.pauses == maxPauses {
		return false
	}
	short.until = time.Now().Add(firstPause << short.pauses)
	short.pauses++
	return true
}

// end records that datagrams were sent.
func (s *shortages) end(sent []socket.Outgoing) {
	for i := range sent {
		if s.known == nil {
			return
		}
		if delete(s.known, destinationOf(&sent[i])); len(s.known) == 0 {
			s.known = nil
		}
	}
}

// arrange makes those datagrams of a block ready whose destinations are not pausing.
func (s *shortages) arrange(b *block, counters *socket.Counters) {
	s.next = time.Time{}
	if s.known == nil {
		b.ready = len(b.datagrams)
		return
	}
	now := time.Now()
	b.postpone(func(d *socket.Outgoing) bool {
		short := s.known[destinationOf(d)]
		switch {
		case short == nil || short.until.IsZero():
			return false
		case now.Before(short.until):
			if s.next.IsZero() || short.until.Before(s.next) {
				s.next = short.until
			}
			return true
		default:
			short.until = time.Time{}
			counters.Retries.Add(1)
			return false
		}
	})
}

// pause waits for the end of the first pause, for something new to send, or until the queue is
// closed. draining and mu must be held; pause releases mu while waiting.
func (q *Queue) pause() {
	ctx, cancel := context.WithDeadline(context.Background(), q.shortages.next)
	defer cancel()
	q.pausing = true
	_ = q.await(ctx)
	q.pausing = false
}

// postponeFirst moves the ready datagrams to the destination of the next one, which begins to pause,
// behind the other ready ones. It reports false if they may not be adjacent; then arrange must.
// Arranging the whole block for each of many destinations would take quadratic time.
func (s *shortages) postponeFirst(b *block) bool {
	first := &b.datagrams[b.answered]
	if !b.mixed || !b.reordered() || first.Name != nil {
		return false
	}
	n := 1
	for b.answered+n < b.ready && b.datagrams[b.answered+n].Addr == first.Addr {
		n++
	}
	until := s.known[destinationOf(first)].until
	if s.next.IsZero() || until.Before(s.next) {
		s.next = until
	}
	rotate(b.datagrams[b.answered:b.ready], n)
	rotate(b.order[b.answered:b.ready], n)
	b.ready -= n
	return true
}

// rotate moves the first n elements to the end.
func rotate[T any](s []T, n int) {
	moved := slices.Clone(s[:n])
	copy(s[copy(s, s[n:]):], moved)
}
