package sendqueue

import "time"

// A pace records how the program sends. If datagrams come one at a time, with pauses, callers
// should send them themselves, since starting a worker costs more than it gains. If they come in
// quick succession, a worker collects them while it sends earlier ones.
type pace struct {
	lone  int           // number of drains in a row with a single datagram
	start time.Time     // of the queue
	last  time.Duration // from start to when a caller last sent by itself
}

const (
	// slowAfter is the number of lone datagrams after which the next is expected to be one too.
	slowAfter = 4
	// quick is a pause between two datagrams that only a sending loop achieves: an answer from the
	// same host takes several times as long.
	quick = 2 * time.Microsecond
)

// isSlow reports whether the caller should send by itself. A handler with a single datagram to
// answer should.
func (p *pace) isSlow(handling bool) bool {
	if !handling && p.lone < slowAfter {
		return false
	}
	if time.Since(p.start)-p.last < quick {
		p.lone = 0
		return false
	}
	return true
}

// sent records that the caller has sent by itself. It reads one clock, where time.Now reads two.
func (p *pace) sent() { p.last = time.Since(p.start) }

// drained records how many datagrams there were to send.
func (p *pace) drained(n uint64) {
	if p.lone++; n > 1 {
		p.lone = 0
	}
}
