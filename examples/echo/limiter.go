package main

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// A limiter says how often to answer whom. The source of a datagram is easily forged: without a limit a stranger could
// have a server send to a victim as much as he sends to the server.
//
// Each network has a bucket of tokens, which fills at a constant rate; an
// answer takes one token out. Networks share a fixed number of buckets, so that
// forged sources cost no memory, and all of them together no more answers than
// the buckets hold.
type limiter struct {
	rate    float64 // tokens a second, and the most that a bucket holds
	seed    maphash.Seed
	buckets [1024]bucket
	refused uint64
}

type bucket struct {
	tokens float64
	filled time.Time
}

// newLimiter returns a limiter to so many answers a second, or to any number if rate is 0.
func newLimiter(rate float64) *limiter {
	return &limiter{rate: rate, seed: maphash.MakeSeed()}
}

// allows reports whether to answer a datagram from source now.
func (l *limiter) allows(source netip.Addr, now time.Time) bool {
	if l.rate == 0 {
		return true
	}
	b := &l.buckets[maphash.Comparable(l.seed, network(source))%uint64(len(l.buckets))]
	b.tokens = min(b.tokens+l.rate*now.Sub(b.filled).Seconds(), max(l.rate, 1))
	b.filled = now
	if b.tokens < 1 {
		l.refused++
		return false
	}
	b.tokens--
	return true
}

// network returns what one victim owns at most: the prefixes are those of the
// response rate limit of DNS servers (BIND).
func network(source netip.Addr) netip.Prefix {
	bits := 56
	if source.Is4() {
		bits = 24
	}
	prefix, _ := source.Prefix(bits) // zones do not count
	return prefix
}
