package peer

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/mark"
)

// Pinger measures round trips: one request, its reply, the next request. It belongs to the
// goroutine or handler that receives the replies.
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

// Record starts recording round trips, when warming up ends.
func (p *Pinger) Record() { p.recording.Store(true) }

// Hist returns the round-trip times.
func (p *Pinger) Hist() mark.Pairs { return p.hist.Pairs() }

// Next prepares Payload and starts the clock. It returns false when pinging should end.
func (p *Pinger) Next() bool {
	if p.counts.Stopped() {
		return false
	}
	p.seq++
	binary.LittleEndian.PutUint64(p.Payload, p.seq)
	p.sentAt = time.Now()
	return true
}

// Reply processes a reply. It returns false if the reply does not belong to the last request.
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
