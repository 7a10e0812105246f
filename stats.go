package datagram

import (
	"fmt"
	"strings"

	"example.com/datagram/internal/socket"
)

// Stats counts what became of every datagram of a handle. Counters never
// fall, and every snapshot adds up:
//
//	Accepted = Sent + SendErrors + Queued
//	Received = Delivered + PolicyDrops + StaleDrops + CloseDrops + Held
type Stats struct {
	// Accepted counts datagrams that the queue took or TrySend handed to the system.
	Accepted uint64
	// Queued is how many of those the system has not answered for yet.
	Queued uint64
	// Sent and SentBytes count datagrams and payload bytes that the system took.
	Sent, SentBytes uint64
	// SendErrors counts datagrams that were accepted and then failed, or were
	// ended by Close.
	SendErrors uint64

	// Received and ReceivedBytes count datagrams and payload bytes taken from the system,
	// without what [WithMaxDatagramSize] cuts off.
	Received, ReceivedBytes uint64
	// Delivered counts datagrams given to the reader or handler. What lies in
	// the channel is Held. Truncated counts those of them that were Partial.
	Delivered, Truncated uint64
	// Held is how many were received and neither delivered nor dropped yet.
	Held uint64
	// KernelDrops counts datagrams lost in the socket's receive buffer, as
	// Linux counts them: with those whose checksum was wrong, and a coalesced
	// packet as one: where the sender's host is this one and segments, it is a
	// lower bound, and exact with [OffloadBatch] on either side. It is 0 where
	// the system does not tell. What Close finds in the receive buffer is not
	// counted.
	KernelDrops uint64
	// PolicyDrops counts what the overflow policy dropped and, after Connect,
	// what others than the peer had sent. StaleDrops counts what had waited too
	// long. CloseDrops counts what Close found undelivered outside the channel.
	PolicyDrops, StaleDrops, CloseDrops uint64
	// ReceiveErrors counts errors after which receiving went on, Retries what the
	// handle tried again by itself when sending.
	ReceiveErrors, Retries uint64
	// NoBuffers counts how often the system had no place for a datagram (ENOBUFS).
	NoBuffers uint64
	// Fallbacks counts batches that the system took only one by one, without GSO.
	Fallbacks uint64
	// SendCalls and ReceiveCalls count system calls that moved datagrams.
	SendCalls, ReceiveCalls uint64
}

// String returns the counters as lines of a table.
func (s Stats) String() string {
	var b strings.Builder
	row := func(name string, pairs ...any) {
		fmt.Fprintf(&b, "%-10s", name)
		for i := 0; i < len(pairs); i += 2 {
			fmt.Fprintf(&b, " %v %v", pairs[i+1], pairs[i])
			if i+2 < len(pairs) {
				b.WriteByte(',')
			}
		}
		b.WriteByte('\n')
	}
	row("accepted", "datagrams", s.Accepted, "queued", s.Queued)
	row("sent", "datagrams", s.Sent, "bytes", s.SentBytes, "failed", s.SendErrors, "calls", s.SendCalls)
	row("repeated", "retries", s.Retries, "without buffers", s.NoBuffers, "batches without GSO", s.Fallbacks)
	row("received", "datagrams", s.Received, "bytes", s.ReceivedBytes, "errors", s.ReceiveErrors, "calls", s.ReceiveCalls)
	row("delivered", "datagrams", s.Delivered, "truncated", s.Truncated, "held", s.Held)
	row("dropped", "by the kernel", s.KernelDrops, "by policy", s.PolicyDrops, "stale", s.StaleDrops, "by Close", s.CloseDrops)
	return strings.TrimSuffix(b.String(), "\n")
}

// Stats returns the counters.
func (c *Conn) Stats() Stats {
	var s Stats
	sent := c.send.Counts()
	s.Accepted, s.Queued = sent.Accepted, sent.Queued
	s.Sent, s.SentBytes, s.SendErrors = sent.Sent, sent.SentBytes, sent.Errors
	c.recv.stats(&s)
	if open := c.socket(); open != nil {
		counters := open.Counters()
		s.Retries = counters.Retries.Load()
		s.NoBuffers = counters.NoBuffers.Load()
		s.Fallbacks = counters.Fallbacks.Load()
		s.SendCalls = counters.SendCalls.Load()
		s.ReceiveCalls = counters.ReceiveCalls.Load()
	}
	return s
}

// receiveLedger counts what a receiver did. It is guarded by the receiver's mu.
type receiveLedger struct {
	received, bytes uint64
	// pushed is what ever went into a channel, takenBack what the receiver took out of it again,
	// served what went to a handler.
	pushed, takenBack, served uint64
	// truncated counts those that were delivered. partial has the others that may still lie
	// in the channel, by what pushed was before them.
	truncated uint64
	partial   []uint64

	policyDrops, staleDrops, closeDrops uint64
	errors                              uint64

	// kernelDrops is what the kernel's counter has moved since the handle was opened.
	kernelDrops uint64
	lastDrops   uint32
}

func (l *receiveLedger) receive(in *intake, limit int) {
	datagrams, bytes := in.size(limit)
	l.received += uint64(datagrams)
	l.bytes += uint64(bytes)
}

// push takes note of a datagram that went into the channel, which now holds n.
func (l *receiveLedger) push(d *Datagram, n int) {
	if d.Partial {
		l.settlePartial(n)
		l.partial = append(l.partial, l.pushed)
	}
	l.pushed++
}

// takeBack takes note of a datagram that the receiver took out of the channel, which now holds n.
func (l *receiveLedger) takeBack(d *Datagram, n int) {
	l.takenBack++
	if d.Partial {
		l.settlePartial(n)
		l.truncated-- // which settlePartial counted as delivered
	}
}

// settlePartial counts which of partial are not among the n in the channel any more.
func (l *receiveLedger) settlePartial(n int) {
	for len(l.partial) > 0 && l.partial[0]+uint64(n) < l.pushed {
		l.partial = l.partial[1:]
		l.truncated++
	}
}

func (l *receiveLedger) serve(d *Datagram) {
	l.served++
	if d.Partial {
		l.truncated++
	}
}

// drops takes note of the kernel's counter, which wraps.
func (l *receiveLedger) drops(now uint32) {
	l.kernelDrops += uint64(now - l.lastDrops)
	l.lastDrops = now
}

func (r *receiver) stats(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
	if open, err := r.conn.existing(); err == nil {
		if drops, ok := open.Drops(); ok {
			r.ledger.drops(drops)
		}
	}
	l := &r.ledger
	s.Received, s.ReceivedBytes = l.received, l.bytes
	waiting := len(r.ch)
	s.Delivered = l.pushed - l.takenBack + l.served - uint64(waiting)
	l.settlePartial(waiting)
	s.Truncated = l.truncated
	s.PolicyDrops, s.StaleDrops, s.CloseDrops = l.policyDrops, l.staleDrops, l.closeDrops
	s.Held = l.received - s.Delivered - l.policyDrops - l.staleDrops - l.closeDrops
	s.KernelDrops = l.kernelDrops
	s.ReceiveErrors = l.errors
}

// baseline makes the kernel's counter start from what it is.
func (r *receiver) baseline(s socket.Socket) {
	drops, _ := s.Drops()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.lastDrops = drops
}

// lastDrops reads the kernel's counter for the last time.
func (r *receiver) lastDrops(s socket.Socket) {
	if drops, ok := s.Drops(); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ledger.drops(drops)
	}
}
