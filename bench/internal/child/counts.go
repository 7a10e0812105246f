package child

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// Counts are the totals of one process. Senders and receivers publish to them in batches, so that
// counting costs little compared with what is counted.
type Counts struct {
	sent, sentSum atomic.Uint64
	_             [48]byte // the two sides run on different cores: keep them off one cache line
	received      atomic.Uint64
	recvSum, bad  atomic.Uint64
	_             [40]byte
	stop          atomic.Bool

	// The gate. A waiting sender sets wakeAt and then waiting; the receiver that passes wakeAt
	// sends one token.
	waiting atomic.Bool
	wakeAt  atomic.Uint64
	wake    chan struct{}
}

// NewCounts returns new, zero totals.
func NewCounts() *Counts { return &Counts{wake: make(chan struct{}, 1)} }

// Stop ends every Source. Next returns false soon afterwards.
func (c *Counts) Stop() { c.stop.Store(true) }

// Stopped reports whether loops that do not use a Source should end.
func (c *Counts) Stopped() bool { return c.stop.Load() }

// Received returns the datagrams counted so far.
func (c *Counts) Received() uint64 { return c.received.Load() }

// AddSent adds to the sent datagrams, for roles that count in their own batches.
func (c *Counts) AddSent(n uint64) { c.sent.Add(n) }

// AddReceived adds to the received datagrams.
func (c *Counts) AddReceived(n uint64) { c.received.Add(n) }

// AddBad adds to the datagrams that were not as expected.
func (c *Counts) AddBad(n uint64) { c.bad.Add(n) }

// Sink counts what arrives at one receiver. It belongs to one goroutine.
type Sink struct {
	c             *Counts
	size          int
	every         uint64 // datagrams per publication
	n, sum, wrong uint64
}

// NewSink returns a Sink for one receiver of this process.
func (c *Counts) NewSink(a *Args) *Sink {
	s := &Sink{c: c, size: a.Size, every: 16}
	if a.Receivers > 1 {
		s.every = 1 // the gate would take the unpublished rests of many sinks for losses
	}
	return s
}

// Add counts one datagram and checks its length. The sum of the numbers in the payloads shows later
// whether each arrived exactly once and whole.
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
	allowed uint64 // datagrams until the next look at the gate
	lost    uint64 // in flight for so long that they are given up
}

// NewSource returns the source of this process's only sender.
func (c *Counts) NewSource(a *Args, dests []netip.AddrPort) *Source {
	return &Source{c: c, dests: dests, window: uint64(a.Window)}
}

// Destinations returns the destinations that Next cycles through.
func (s *Source) Destinations() []netip.AddrPort { return s.dests }

// Next numbers the payload and returns its destination, or false when sending should end. It waits
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

// Publish publishes the totals. Senders call it when they end.
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

// wait sleeps until half of the window is free, so that one wake-up serves many datagrams. If
// nothing at all arrives for a while, the datagrams in flight are considered lost.
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
