package datagram

import "time"

// A pace tells how the program sends. Where datagrams come one at a time, with
// pauses, the caller had better send them itself: starting a worker costs more
// than there is to gain. Where they come in quick succession, the worker collects
// them while it sends those before.
type pace struct {
	lone int       // how many times in a row one datagram was all there was to send
	last time.Time // when the caller last sent one itself
}

const (
	// slowAfter is how many lone datagrams it takes to believe that the next is one.
	slowAfter = 4
	// quick is the pause between two datagrams that is too short for anything but a
	// loop that sends: an answer from the same host takes several times as long.
	quick = 2 * time.Microsecond
)

// isSlow says whether the caller should send by itself.
func (p *pace) isSlow() bool {
	if p.lone < slowAfter {
		return false
	}
	if !p.last.IsZero() && time.Since(p.last) < quick {
		*p = pace{}
		return false
	}
	return true
}

// drained tells how many datagrams there were to send.
func (p *pace) drained(n uint64) {
	if n > 1 {
		*p = pace{}
		return
	}
	if p.lone++; p.lone >= slowAfter {
		p.last = time.Now()
	}
}
