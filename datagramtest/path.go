package datagramtest

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A flow is where datagrams come from and go to.
type flow struct {
	from, to netip.AddrPort
	host     netip.Addr // whose loopback address to is, if it is one: the first of that host
}

// A path is what the network remembers of a flow.
type path struct {
	seed uint64
	sent uint64        // datagrams
	last time.Duration // when the last one arrives that keeps its order

	// queue holds what waits for the link or is being sent, waiting the bytes of
	// that.
	queue   []departure
	waiting int
}

// A departure is when a datagram leaves the link's queue, and its size.
type departure struct {
	at   time.Duration
	size int
}

// path returns the path of a flow. mu must be held.
func (n *Network) path(f flow) *path {
	p := n.paths[f]
	if p == nil {
		p = &path{seed: hashPort(hashPort(mix(n.seed), f.from), f.to)}
		if f.host.IsValid() {
			p.seed = hashAddr(p.seed, f.host)
		}
		n.paths[f] = p
	}
	return p
}

// depart puts a datagram into the link's queue, and returns when it will have
// left, or that there is no room.
func (p *path) depart(link *Link, now time.Duration, size int) (at time.Duration, ok bool) {
	for len(p.queue) > 0 && p.queue[0].at <= now {
		p.waiting -= p.queue[0].size
		p.queue = p.queue[1:]
	}
	if link.Rate == 0 {
		return now, true
	}
	at = now
	if n := len(p.queue); n > 0 {
		if link.Queue > 0 && p.waiting+size > link.Queue {
			return 0, false
		}
		at = p.queue[n-1].at
	}
	at += time.Duration(float64(size) / float64(link.Rate) * float64(time.Second))
	p.queue = append(p.queue, departure{at, size})
	p.waiting += size
	return at, true
}

// draws are what chance says about a datagram.
type draws struct {
	loss, duplicate, reorder, corrupt float64
	jitter, duplicateJitter           float64
	bit                               uint64
}

// draw returns the draws for the datagram with an ordinal. There are as many for each, so
// that one probability changes nothing about the others.
func (p *path) draw(ordinal uint64) draws {
	var source rand.PCG
	source.Seed(p.seed, mix(ordinal))
	r := rand.New(&source)
	return draws{
		loss: r.Float64(), duplicate: r.Float64(), reorder: r.Float64(), corrupt: r.Float64(),
		jitter: r.Float64(), duplicateJitter: r.Float64(),
		bit: r.Uint64(),
	}
}

func hashPort(h uint64, addr netip.AddrPort) uint64 {
	return mix(hashAddr(h, addr.Addr()) ^ uint64(addr.Port()))
}

func hashAddr(h uint64, addr netip.Addr) uint64 {
	ip := addr.As16()
	h = mix(h ^ binary.BigEndian.Uint64(ip[:8]))
	return mix(h ^ binary.BigEndian.Uint64(ip[8:]))
}

// mix is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): near inputs give far outputs.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
