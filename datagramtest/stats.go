package datagramtest

import "fmt"

// Stats counts what became of every datagram. Every snapshot adds up:
//
//	Sent + Duplicated = Delivered + Lost + Refused + Overflowed + Held
//
// A datagram to a multicast group or to everybody counts once for each
// endpoint that it is for, and once if there is none. Those that the sender
// was refused by an error are not Sent.
type Stats struct {
	// Sent counts datagrams that hosts handed to the network.
	Sent uint64
	// Delivered counts datagrams, copies included, that were put into a receive buffer. From there on
	// the [datagram.Stats] of the receiver count.
	Delivered uint64
	// Lost counts datagrams lost by Loss, by a partition, by [Network.Filter], by [Network.Close], those to a
	// group without a member and, to a group, those longer than an MTU.
	Lost uint64
	// Duplicated counts the copies that the network made.
	Duplicated uint64
	// Reordered counts datagrams that were made late, and Corrupted those with a
	// flipped bit. What became of them is counted too.
	Reordered, Corrupted uint64
	// Refused counts datagrams to a port on which nobody listened.
	Refused uint64
	// Overflowed counts datagrams that found no room in the queue of a link or in a
	// receive buffer. The latter are also the KernelDrops of the receiver.
	Overflowed uint64
	// Held is how many are under way.
	Held uint64
}

// String returns the counters in a line.
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

// A ledger counts what the network does.
type ledger struct {
	count [actions]uint64
	held  uint64
}

// note writes into the ledger and the log what was done to a datagram. mu must be held.
func (n *Network) note(action Action, p *packet, reason string) {
	for range p.count() {
		n.ledger.count[action]++
		n.log.add(Event{
			Time: n.now(), Action: action, Reason: reason,
			From: p.from, To: p.to, Number: p.number, Size: p.size,
		})
	}
}
