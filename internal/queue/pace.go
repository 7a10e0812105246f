package queue

import "time"

// A Pace tells how the program sends. Where datagrams come one at a time, with
// pauses, the caller had better send them itself: starting a worker costs more
// than there is to gain. Where they come in quick succession, the worker collects
// them while it sends those before.
type Pace struct {
	lone int       // how many times in a row one datagram was all there was to send
	last time.Time // when the caller last sent by itself
}

const (
	// slowAfter is how many lone datagrams it takes to believe that the next is one.
	slowAfter = 4
	// quick is the pause between two datagrams that is too short for anything but a
	// loop that sends: an answer from the same host takes several times as long.
	quick = 2 * time.Microsecond
)

// IsSlow says whether the caller should send by itself. A handler should,
// which has only one datagram to answer.
func (p *Pace) IsSlow(handling bool) bool {
	if !handling && p.lone < slowAfter {
		return false
	}
	if time.Since(p.last) < quick {
		p.lone = 0
		return false
	}
	return true
}

// Sent tells that the caller has sent by itself.
func (p *Pace) Sent() { p.last = time.Now() }

// Drained tells how many datagrams there were to send.
func (p *Pace) Drained(n uint64) {
	if p.lone++; n > 1 {
		p.lone = 0
	}
}
