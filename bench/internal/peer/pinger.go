package peer

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/mark"
)

// Pinger times round trips: one request, its reply, the next request. It belongs to the one
// goroutine or handler that sees the replies.
type Pinger struct {
	Payload []byte // the request; Next numbers it

	counts    *child.Counts
	sink      *child.Sink
	seq       uint64
	sentAt    time.Time
	recording atomic.Bool
	hist      mark.Histogram
}

// NewPinger returns a pinger with a payload of a.Size bytes.
func NewPinger(a *child.Args, c *child.Counts) *Pinger {
	return &Pinger{Payload: make([]byte, a.Size), counts: c, sink: c.NewSink(a)}
}

// Record makes round trips count: what was before warmed up.
func (p *Pinger) Record() { p.recording.Store(true) }

// Hist returns the round-trip times.
func (p *Pinger) Hist() mark.Pairs { return p.hist.Pairs() }

// Next prepares Payload and starts the clock, or says that pinging should end.
func (p *Pinger) Next() bool {
	if p.counts.Stopped() {
		return false
	}
	p.seq++
	binary.LittleEndian.PutUint64(p.Payload, p.seq)
	p.sentAt = time.Now()
	return true
}

// Reply takes a reply; it is false for one that does not belong to the last request.
func (p *Pinger) Reply(b []byte) bool {
	if len(b) != len(p.Payload) || binary.LittleEndian.Uint64(b) != p.seq {
		return false
	}
	if p.recording.Load() {
		p.hist.Record(time.Since(p.sentAt))
	}
	p.sink.Add(b)
	return true
}
