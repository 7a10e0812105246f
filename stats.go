package datagram

import (
	"fmt"
	"log/slog"
	"strings"
)

// Stats counts what became of the datagrams of a handle. Counters never
// decrease, and every snapshot adds up:
//
//	Accepted = Sent + SendErrors + Queued
//	Received = Delivered + PolicyDrops + StaleDrops + CloseDrops + Held
type Stats struct {
	// Accepted counts datagrams that entered the send queue, or that TrySend
	// passed to the system.
	Accepted uint64
	// Queued is the number of accepted datagrams that the system has not yet
	// answered for.
	Queued uint64
	// Sent and SentBytes count datagrams and payload bytes that the system
	// accepted.
	Sent, SentBytes uint64
	// SendErrors counts accepted datagrams that failed, or that Close ended.
	SendErrors uint64

	// Received and ReceivedBytes count datagrams and payload bytes taken from
	// the system, without bytes that [WithMaxDatagramSize] cuts off.
	Received, ReceivedBytes uint64
	// Delivered counts datagrams that reached the reader or handler; those in
	// the channel count as Held. Truncated counts the delivered datagrams that
	// were Partial.
	Delivered, Truncated uint64
	// Held is the number of received datagrams not yet delivered or dropped.
	Held uint64
	// KernelDrops counts datagrams that the system dropped because the socket's
	// receive buffer was full, as Linux counts them. It includes datagrams with
	// a wrong checksum. It counts a coalesced packet as one, so it is a lower
	// bound if the sender is on the same host and segments; with [OffloadBatch]
	// on either side it is exact. It is 0 if the system does not report drops.
	// Datagrams that Close finds in the receive buffer are not counted.
	KernelDrops uint64
	// PolicyDrops counts datagrams that the overflow policy dropped, and those
	// that senders other than the peer had sent before Connect. StaleDrops
	// counts those that [WithMaxAge] dropped. CloseDrops counts those that Close
	// found undelivered outside the channel.
	PolicyDrops, StaleDrops, CloseDrops uint64
	// ReceiveErrors counts errors after which receiving continued. Retries
	// counts how often the handle retried a send by itself.
	ReceiveErrors, Retries uint64
	// UnreportedErrors counts errors that the error handler did not get because
	// 1,024 others were waiting for it: see [WithErrorHandler].
	UnreportedErrors uint64
	// NoBuffers counts how often the system had no room for a datagram
	// (ENOBUFS).
	NoBuffers uint64
	// Fallbacks counts batches that the system accepted only one datagram at a
	// time, without GSO.
	Fallbacks uint64
	// SendCalls and ReceiveCalls count system calls that moved datagrams.
	SendCalls, ReceiveCalls uint64
}

// counters lists the fields with the names that logs use.
func (s *Stats) counters() []counter {
	return []counter{
		{"accepted", &s.Accepted},
		{"queued", &s.Queued},
		{"sent", &s.Sent},
		{"sent_bytes", &s.SentBytes},
		{"send_errors", &s.SendErrors},
		{"send_calls", &s.SendCalls},
		{"retries", &s.Retries},
		{"no_buffers", &s.NoBuffers},
		{"fallbacks", &s.Fallbacks},
		{"received", &s.Received},
		{"received_bytes", &s.ReceivedBytes},
		{"receive_errors", &s.ReceiveErrors},
		{"receive_calls", &s.ReceiveCalls},
		{"unreported_errors", &s.UnreportedErrors},
		{"delivered", &s.Delivered},
		{"truncated", &s.Truncated},
		{"held", &s.Held},
		{"kernel_drops", &s.KernelDrops},
		{"policy_drops", &s.PolicyDrops},
		{"stale_drops", &s.StaleDrops},
		{"close_drops", &s.CloseDrops},
	}
}

type counter struct {
	name  string
	value *uint64
}

// Sub returns what has happened since an earlier snapshot of the same handle:
// the differences of all counters. Queued and Held are not counters; they keep
// their present values.
func (s Stats) Sub(earlier Stats) Stats {
	queued, held := s.Queued, s.Held
	before := earlier.counters()
	for i, c := range s.counters() {
		*c.value -= *before[i].value
	}
	s.Queued, s.Held = queued, held
	return s
}

// String returns the counters that are not zero, in one line: "accepted=3
// queued=1 sent=2".
func (s Stats) String() string {
	var b strings.Builder
	for _, c := range s.counters() {
		if *c.value != 0 {
			fmt.Fprintf(&b, " %s=%d", c.name, *c.value)
		}
	}
	return strings.TrimPrefix(b.String(), " ")
}

// LogValue returns a group of the counters that are not zero. It implements
// [slog.LogValuer].
func (s Stats) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, c := range s.counters() {
		if *c.value != 0 {
			attrs = append(attrs, slog.Uint64(c.name, *c.value))
		}
	}
	return slog.GroupValue(attrs...)
}

// Table returns all counters as a table of several lines.
func (s Stats) Table() string {
	return fmt.Sprintf(`accepted   %d datagrams, %d queued
sent       %d datagrams, %d bytes, %d failed, %d calls
repeated   %d retries, %d without buffers, %d batches without GSO
received   %d datagrams, %d bytes, %d errors, %d calls, %d unreported errors
delivered  %d datagrams, %d truncated, %d held
dropped    %d by the kernel, %d by policy, %d stale, %d by Close`,
		s.Accepted, s.Queued,
		s.Sent, s.SentBytes, s.SendErrors, s.SendCalls,
		s.Retries, s.NoBuffers, s.Fallbacks,
		s.Received, s.ReceivedBytes, s.ReceiveErrors, s.ReceiveCalls, s.UnreportedErrors,
		s.Delivered, s.Truncated, s.Held,
		s.KernelDrops, s.PolicyDrops, s.StaleDrops, s.CloseDrops)
}

// Stats returns a snapshot of the handle's counters.
func (c *Conn) Stats() Stats {
	var s Stats
	sent := c.send.Counts()
	s.Accepted, s.Queued = sent.Accepted, sent.Queued
	s.Sent, s.SentBytes, s.SendErrors = sent.Sent, sent.SentBytes, sent.Errors
	c.recv.stats(&s)
	s.ReceiveErrors, s.UnreportedErrors = c.reporter.counts()
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
