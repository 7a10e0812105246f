package datagramtest

import "fmt"

// Stats counts what became of the datagrams on a network. Every snapshot adds
// up:
//
//	Sent + Duplicated = Delivered + Lost + Refused + Overflowed + Held
//
// A datagram to a multicast or broadcast address counts once for each endpoint
// that it is for, or once if there is none. Datagrams whose send failed do not
// count as Sent.
type Stats struct {
	// Sent counts datagrams that hosts passed to the network.
	Sent uint64
	// Delivered counts datagrams, including copies, that entered a receive
	// buffer. From there on, the receiver's [datagram.Stats] count them.
	Delivered uint64
	// Lost counts datagrams lost to Loss, a partition, [Network.Filter] or
	// [Network.Close], and datagrams to a group that has no member or that
	// exceed the MTU on the way to one.
	Lost uint64
	// Duplicated counts the copies that the network made.
	Duplicated uint64
	// Reordered counts datagrams that were delayed out of order, and Corrupted
	// those with a flipped bit. Their outcome is counted too.
	Reordered, Corrupted uint64
	// Refused counts datagrams to ports on which nobody listened.
	Refused uint64
	// Overflowed counts datagrams that found the queue of a link or a receive
	// buffer full. The latter also count as the receiver's KernelDrops.
	Overflowed uint64
	// Held is the number of datagrams in transit.
	Held uint64
}

// String returns the counters in one line.
func (s Stats) String() string {
	return fmt.Sprintf("sent %d, delivered %d, lost %d, duplicated %d, reordered %d, corrupted %d, refused %d, overflowed %d, held %d",
		s.Sent, s.Delivered, s.Lost, s.Duplicated, s.Reordered, s.Corrupted, s.Refused, s.Overflowed, s.Held)
}

// Stats returns the counters.
func (n *Network) Stats() Stats {
	n.lock()
	defer n.mu.Unlock()
	l := &n.ledger
	return Stats{
		Sent: l.count[Sent], Delivered: l.count[Delivered], Lost: l.count[Lost],
		Duplicated: l.count[Duplicated], Reordered: l.count[Reordered], Corrupted: l.count[Corrupted],
		Refused: l.count[Refused], Overflowed: l.count[Overflowed], Held: l.held,
	}
}

// A ledger counts what the network does to datagrams.
type ledger struct {
	count [actions]uint64
	held  uint64
}

// note records an action on a datagram in the ledger and the log. mu must be
// held.
func (n *Network) note(action Action, p *packet, reason string) {
	for range p.count() {
		n.ledger.count[action]++
		n.log.add(Event{
			Time: n.now(), Action: action, Reason: reason,
			From: p.from, To: p.to, Number: p.number, Size: p.size,
		})
	}
}
