package datagramtest

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A flow is the source and destination of datagrams.
type flow struct {
	from, to netip.AddrPort
	host     netip.Addr // first address of the host, if to is its loopback address
}

// A path is the network's state of a flow.
type path struct {
	seed uint64
	sent uint64        // datagrams
	last time.Duration // arrival of the last one in order

	free    time.Duration // when the link has sent everything so far
	queue   []waiting     // in the link's queue
	waiting int           // bytes in queue
}

// A waiting is a datagram in a link's queue: when it leaves the queue, and its size.
type waiting struct {
	until time.Duration
	size  int
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

// depart gives a datagram to the link, and returns when the link will have sent it, or false if the
// queue has no room.
func (p *path) depart(link *Link, now time.Duration, size int) (at time.Duration, ok bool) {
	for len(p.queue) > 0 && p.queue[0].until <= now {
		p.waiting -= p.queue[0].size
		p.queue = p.queue[1:]
	}
	if link.Rate == 0 {
		return now, true
	}
	turn := max(now, p.free)
	if turn > now {
		if link.Queue > 0 && p.waiting+size > link.Queue {
			return 0, false
		}
		p.queue = append(p.queue, waiting{turn, size})
		p.waiting += size
	}
	p.free = after(turn, time.Duration(float64(size)/float64(link.Rate)*float64(time.Second)))
	return p.free, true
}

// arrival returns when a datagram arrives that departs at the given time and is not reordered.
func (p *path) arrival(link *Link, departure time.Duration, jitter float64) time.Duration {
	p.last = max(p.last, link.travel(departure, jitter))
	return p.last
}

// draws are the random numbers of a datagram.
type draws struct {
	loss, duplicate, reorder, corrupt float64
	jitter, duplicateJitter           float64
	bit                               uint64
}

// draw returns the draws of the datagram with the given ordinal. Each datagram has the same number
// of draws, so that one probability does not influence the others.
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

// mix is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): similar inputs give unrelated outputs.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
