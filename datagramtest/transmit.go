package datagramtest

import (
	"syscall"
	"time"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// A packet is a datagram on the network.
type packet struct {
	flow   // as the receiver sees it
	number uint64
	copy   int // 0 for the original
	chunk  *buffer.Chunk
	size   int

	sender   *endpoint
	filtered bool
	// members are the endpoints of a host that a multicast or broadcast datagram is for. For other
	// datagrams the receiver is looked up on arrival.
	members      []*endpoint
	ifIndex      int // of the receiver
	hopLimit     int
	trafficClass uint8
}

// with returns a copy of the packet with the given payload.
func (p packet) with(payload []byte) *packet {
	p.chunk, p.size = buffer.Get(len(payload)), len(payload)
	copy(p.chunk.Bytes, payload)
	return &p
}

// count returns the number of endpoints that the packet counts for.
func (p *packet) count() uint64 { return max(1, uint64(len(p.members))) }

// transmit sends a packet along its path. mu must be held.
func (n *Network) transmit(p *packet, along flow) {
	link, path := n.link(along.from.Addr(), along.to.Addr()), n.path(along)
	n.noteSent(p, along)
	draws := path.draw(p.number)
	switch {
	case p.filtered:
		n.lose(p, "filter")
		return
	case n.isCut(along.from.Addr(), along.to.Addr()):
		n.lose(p, "partition")
		return
	case !link.fits(along.to.Addr(), p.size):
		n.lose(p, "MTU")
		return
	case draws.loss < link.Loss:
		n.lose(p, "link")
		return
	}
	departure, ok := path.depart(link, n.now(), p.size)
	if !ok {
		n.note(Overflowed, p, "link")
		p.chunk.Free()
		return
	}
	var at time.Duration
	if draws.reorder < link.Reorder {
		n.note(Reordered, p, "")
		at = after(link.travel(departure, draws.jitter), link.late())
	} else {
		at = path.arrival(link, departure, draws.jitter)
	}
	var duplicate *packet
	if draws.duplicate < link.Duplicate {
		duplicate = p.with(p.chunk.Bytes[:p.size])
		duplicate.copy = 1
	}
	if draws.corrupt < link.Corrupt && p.size > 0 {
		n.note(Corrupted, p, "")
		bit := draws.bit % uint64(8*p.size)
		p.chunk.Bytes[bit/8] ^= 1 << (bit % 8)
	}
	n.carry(p, at)
	if duplicate != nil {
		n.note(Duplicated, p, "")
		n.carry(duplicate, path.arrival(link, departure, draws.duplicateJitter))
	}
}

// noteSent records that a packet was sent, and gives it an ordinal on its path. mu must be held.
func (n *Network) noteSent(p *packet, along flow) {
	path := n.path(along)
	p.number = path.sent
	path.sent++
	n.note(Sent, p, "")
}

func (n *Network) lose(p *packet, reason string) {
	n.note(Lost, p, reason)
	p.chunk.Free()
}

// carry schedules the arrival of a packet. mu must be held.
func (n *Network) carry(p *packet, at time.Duration) {
	n.ledger.held += p.count()
	n.happen(&event{at: at, packet: p})
}

// arrive delivers a packet at the end of its path. mu must be held.
func (n *Network) arrive(p *packet) {
	n.ledger.held -= p.count()
	if p.members == nil {
		n.deliver(p, n.receiver(p))
		return
	}
	for i, member := range p.members {
		one := p.with(p.chunk.Bytes[:p.size])
		one.members = p.members[i : i+1]
		if member.wants(one) {
			n.deliver(one, member)
		} else {
			n.lose(one, "no member")
		}
	}
	p.chunk.Free()
}

// deliver passes a packet to an endpoint, or refuses it if there is none. mu must be held.
func (n *Network) deliver(p *packet, receiver *endpoint) {
	switch {
	case receiver == nil:
		n.note(Refused, p, "")
		p.chunk.Free()
		n.reportRefusal(p)
	case !receiver.accept(p):
		n.note(Overflowed, p, "receive buffer")
		p.chunk.Free()
	default:
		n.note(Delivered, p, "")
	}
}

// receiver returns the endpoint that a unicast packet is for, or nil. mu must be held.
func (n *Network) receiver(p *packet) *endpoint {
	host := p.sender.host
	if !p.to.Addr().IsLoopback() {
		host = n.owners[p.to.Addr()]
	}
	if host == nil {
		return nil
	}
	return host.receiver(p)
}

// reportRefusal reports to the sender that nobody listens on a port, after the report has travelled
// back, unless it is lost on the way. mu must be held.
func (n *Network) reportRefusal(p *packet) {
	back := flow{from: p.to, to: p.from, host: p.host}
	link, draws := n.link(back.from.Addr(), back.to.Addr()), n.path(back).draw(p.number)
	if draws.loss < link.Loss || n.isCut(back.from.Addr(), back.to.Addr()) {
		return
	}
	n.happen(&event{at: link.travel(n.now(), draws.jitter), packet: p, refusal: true})
}

// refused tells the sender that nobody listened. mu must be held.
func (p *packet) refused() {
	to := zoned(p.to)
	p.sender.told(socket.NetworkError{Dst: to, Offender: to.Addr(), Errno: syscall.ECONNREFUSED})
}

// loseAll loses all packets in transit. mu must be held.
func (n *Network) loseAll() {
	for _, e := range n.events {
		if !e.refusal {
			n.ledger.held -= e.packet.count()
			n.lose(e.packet, "network closed")
		}
	}
	n.events = nil
}
