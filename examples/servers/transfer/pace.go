package main

import "time"

// A timeouts estimates how long an answer takes (RFC 6298).
type timeouts struct {
	smoothed, deviation time.Duration
	timeout             time.Duration
	backoff             int
}

const (
	firstTimeout   = time.Second            // RFC 6298 section 2.1
	minimumTimeout = 200 * time.Millisecond // as Linux's TCP: less than the RFC's second
	maximumTimeout = 2 * time.Second        // so that many tries fit into patience
)

func newTimeouts() *timeouts { return &timeouts{timeout: firstTimeout} }

// current returns how long to wait for an answer.
func (t *timeouts) current() time.Duration { return min(t.timeout<<t.backoff, maximumTimeout) }

// sample takes account of a measured round trip.
func (t *timeouts) sample(rtt time.Duration) {
	if t.smoothed == 0 {
		t.smoothed, t.deviation = rtt, rtt/2
	} else {
		t.deviation += ((t.smoothed - rtt).Abs() - t.deviation) / 4
		t.smoothed += (rtt - t.smoothed) / 8
	}
	t.timeout = min(max(t.smoothed+4*t.deviation, minimumTimeout), maximumTimeout)
	t.backoff = 0
}

// backOff doubles the time, until a round trip is measured.
func (t *timeouts) backOff() { t.backoff = min(t.backoff+1, 6) }

// A congestion limits the packets in flight: the limit grows until packets are lost, and then halves (RFC 5681).
type congestion struct {
	packets   float64
	threshold float64 // below this the limit doubles in each round trip, above it grows by one
	recovered uint64  // losses of transmissions up to this have been taken account of
}

// newCongestion returns a limit of one packet, so that the offer arrives before the file.
func newCongestion() congestion { return congestion{packets: 1, threshold: window} }

func (c *congestion) limit() int { return int(c.packets) }

func (c *congestion) arrived() {
	if c.packets < c.threshold {
		c.packets++
	} else {
		c.packets += 1 / c.packets
	}
	c.packets = min(c.packets, window)
}

// lost halves the limit, once for all that was in flight; latest is the last transmission.
func (c *congestion) lost(order, latest uint64) {
	if order > c.recovered {
		c.recovered = latest
		c.packets = max(c.packets/2, 2)
		c.threshold = c.packets
	}
}

func (c *congestion) collapse() {
	c.threshold = max(c.packets/2, 2)
	c.packets = 1
}
