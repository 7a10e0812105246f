package main

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// A limiter limits answers. The source of a datagram is easily forged: without a limit, a stranger
// could make a server send as much to a victim as he sends to the server.
//
// Each network has a bucket of tokens that fills at a constant rate; each answer takes one token.
// Networks share a fixed number of buckets, so that forged sources cost no memory, and together get
// no more answers than the buckets hold.
type limiter struct {
	rate    float64 // tokens per second, and the capacity of a bucket
	seed    maphash.Seed
	buckets [1024]bucket
	refused uint64
}

type bucket struct {
	tokens float64
	filled time.Time
}

// newLimiter returns a limiter to rate answers per second and network. 0 means no limit.
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

// network returns the prefix that one victim owns at most, as in the response rate limit of DNS
// servers (BIND).
func network(source netip.Addr) netip.Prefix {
	bits := 56
	if source.Is4() {
		bits = 24
	}
	prefix, _ := source.Prefix(bits) // drops the zone
	return prefix
}
