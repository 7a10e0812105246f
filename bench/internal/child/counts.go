package child

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// Counts are the totals of one process: what its senders and receivers publish, in batches, so
// that the counting costs a small part of what is counted.
type Counts struct {
	sent, sentSum atomic.Uint64
	_             [48]byte // the two sides write on different cores: keep them off one cache line
	received      atomic.Uint64
	recvSum, bad  atomic.Uint64
	_             [40]byte
	stop          atomic.Bool

	// The gate. A sender that waits sets wakeAt and then waiting; the receiver that passes
	// wakeAt sends one token.
	waiting atomic.Bool
	wakeAt  atomic.Uint64
	wake    chan struct{}
}

// NewCounts returns zeroed totals.
func NewCounts() *Counts { return &Counts{wake: make(chan struct{}, 1)} }

// Stop ends every Source; Next returns false soon after.
func (c *Counts) Stop() { c.stop.Store(true) }

// Stopped tells loops that do not use a Source that they should end.
func (c *Counts) Stopped() bool { return c.stop.Load() }

// Received returns the datagrams counted so far.
func (c *Counts) Received() uint64 { return c.received.Load() }

// AddSent is for roles that count in batches of their own.
func (c *Counts) AddSent(n uint64) { c.sent.Add(n) }

// AddReceived is AddSent for what was received.
func (c *Counts) AddReceived(n uint64) { c.received.Add(n) }

// AddBad is AddSent for what was not as expected.
func (c *Counts) AddBad(n uint64) { c.bad.Add(n) }

// Sink counts what arrives at one receiver. It belongs to one goroutine.
type Sink struct {
	c             *Counts
	size          int
	every         uint64 // publish after so many
	n, sum, wrong uint64
}

// NewSink returns a counter for one of the receivers of this process.
func (c *Counts) NewSink(a *Args) *Sink {
	s := &Sink{c: c, size: a.Size, every: 16}
	if a.Receivers > 1 {
		s.every = 1 // many sinks, each with a rest: the gate would take the rests for losses
	}
	return s
}

// Add counts one datagram and checks its length; the sum of the numbers in the payloads shows
// later whether each arrived once and whole.
func (s *Sink) Add(p []byte) {
	if len(p) != s.size {
		s.wrong++
	} else {
		s.sum += binary.LittleEndian.Uint64(p)
	}
	s.n++
	if s.n >= s.every {
		s.Flush()
	}
}

// Flush publishes the rest. Receivers call it when they end.
func (s *Sink) Flush() {
	if s.n == 0 {
		return
	}
	c := s.c
	c.recvSum.Add(s.sum)
	if s.wrong > 0 {
		c.bad.Add(s.wrong)
	}
	now := c.received.Add(s.n)
	s.n, s.sum, s.wrong = 0, 0, 0
	if c.waiting.Load() && now >= c.wakeAt.Load() && c.waiting.CompareAndSwap(true, false) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// Source tells a sender what to send next. It belongs to one goroutine.
type Source struct {
	c       *Counts
	dests   []netip.AddrPort
	next    int
	window  uint64
	n, sum  uint64
	allowed uint64 // look at the gate again after so many
	lost    uint64 // given up: in flight for so long that they will not arrive
}

// NewSource returns the source of the one sender of this process.
func (c *Counts) NewSource(a *Args, dests []netip.AddrPort) *Source {
	return &Source{c: c, dests: dests, window: uint64(a.Window)}
}

// Destinations are what Next goes round.
func (s *Source) Destinations() []netip.AddrPort { return s.dests }

// Next numbers the payload and returns where it goes, or false when sending should end. It waits
// while too many datagrams are in flight.
func (s *Source) Next(p []byte) (netip.AddrPort, bool) {
	if s.n >= s.allowed && !s.pass() {
		return netip.AddrPort{}, false
	}
	binary.LittleEndian.PutUint64(p, s.n)
	s.sum += s.n
	s.n++
	d := s.dests[s.next]
	if s.next++; s.next == len(s.dests) {
		s.next = 0
	}
	return d, true
}

// Publish makes the totals visible; senders call it when they end.
func (s *Source) Publish() {
	s.c.sent.Store(s.n)
	s.c.sentSum.Store(s.sum)
}

// pass lets the next few datagrams through the gate.
func (s *Source) pass() bool {
	const few = 64
	s.Publish()
	if s.c.Stopped() {
		return false
	}
	s.allowed = s.n + few
	if s.window == 0 {
		return true
	}
	if limit := s.c.received.Load() + s.lost + s.window; limit > s.n {
		s.allowed = min(s.allowed, limit)
		return true
	}
	return s.wait()
}

// wait sleeps until half of the window is free, so that a wake-up serves many datagrams. What
// does not arrive while nothing else does either is lost, and no longer in flight.
func (s *Source) wait() bool {
	c := s.c
	timeout := time.NewTimer(5 * time.Millisecond)
	defer timeout.Stop()
	seen := c.received.Load()
	for !c.Stopped() {
		target := s.n - min(s.n, s.lost+s.window/2)
		c.wakeAt.Store(target)
		c.waiting.Store(true)
		if c.received.Load() >= target {
			c.waiting.Store(false)
			s.allowed = s.n + 1
			return true
		}
		select {
		case <-c.wake:
		case <-timeout.C:
			now := c.received.Load()
			if now == seen {
				s.lost = s.n - now
			}
			seen = now
			timeout.Reset(5 * time.Millisecond)
		}
	}
	return false
}
