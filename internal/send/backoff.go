package send

import (
	"context"
	"time"
)

// Where the system has no memory for a datagram, or its device or queueing
// discipline no place, it says ENOBUFS, and nothing tells when to try again. On
// Linux that is seen only with WithNetworkErrors (ip(7), IP_RECVERR); on macOS
// and BSD it is what a full device queue looks like. A datagram is tried again
// after pauses of 0.1, 0.2, 0.4 … 6.4 ms, in which a link of 100 Mbit/s sends a
// hundred full frames: as many as its queue is likely to hold.
const (
	maxBackOffs  = 7
	firstBackOff = 100 * time.Microsecond
)

// backOff waits before the n-th new attempt, counted from 0, or until the queue is
// closed. mu must be held and is not while waiting.
func (q *Queue) backOff(n int) {
	ctx, cancel := context.WithTimeout(context.Background(), firstBackOff<<n)
	defer cancel()
	for q.state != closed {
		if q.await(ctx) != nil {
			q.sock.Counters().Retries.Add(1)
			return
		}
	}
}
