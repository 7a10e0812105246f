package datagram

// receiveLedger counts what a receiver did. The receiver's mu guards it.
type receiveLedger struct {
	received, bytes uint64
	// pushed counts datagrams sent into a channel, takenBack those that the receiver took out
	// again, and served those passed to a handler.
	pushed, takenBack, served uint64
	// truncated counts truncated datagrams that were delivered. partial lists those that may still
	// be in the channel, by the value of pushed before them.
	truncated uint64
	partial   []uint64

	policyDrops, staleDrops, closeDrops uint64

	// kernelDrops is the increase of the kernel's counter since the handle was opened.
	kernelDrops uint64
	lastDrops   uint32
}

func (l *receiveLedger) receive(datagrams, bytes int) {
	l.received += uint64(datagrams)
	l.bytes += uint64(bytes)
}

// push records a datagram that went into the channel, which now holds n.
func (l *receiveLedger) push(d *Datagram, n int) {
	if d.Partial {
		l.settlePartial(n)
		l.partial = append(l.partial, l.pushed)
	}
	l.pushed++
}

// takeBack records a datagram that the receiver took out of the channel, which now holds n.
func (l *receiveLedger) takeBack(d *Datagram, n int) {
	l.takenBack++
	if d.Partial {
		l.settlePartial(n)
		l.truncated-- // settlePartial has counted it as delivered
	}
}

// settlePartial counts as delivered those of partial that are no longer among the n in the channel.
func (l *receiveLedger) settlePartial(n int) {
	for len(l.partial) > 0 && l.partial[0]+uint64(n) < l.pushed {
		l.partial = l.partial[1:]
		l.truncated++
	}
}

func (l *receiveLedger) serve(d *Datagram) {
	l.served++
	if d.Partial {
		l.truncated++
	}
}

// drops records the value of the kernel's counter, which wraps.
func (l *receiveLedger) drops(now uint32) {
	l.kernelDrops += uint64(now - l.lastDrops)
	l.lastDrops = now
}

// readDrops reads the kernel's counter, if there is one. mu must be held.
func (r *receiver) readDrops() {
	if drops, ok := r.sock.Drops(); ok {
		r.ledger.drops(drops)
	}
}

// stats fills in the receive counters of s.
func (r *receiver) stats(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withdraw()
	if r.sock != nil && r.state != closed {
		r.readDrops()
	}
	l := &r.ledger
	s.Received, s.ReceivedBytes = l.received, l.bytes
	waiting := len(r.ch)
	s.Delivered = l.pushed - l.takenBack + l.served - uint64(waiting)
	l.settlePartial(waiting)
	s.Truncated = l.truncated
	s.PolicyDrops, s.StaleDrops, s.CloseDrops = l.policyDrops, l.staleDrops, l.closeDrops
	s.Held = l.received - s.Delivered - l.policyDrops - l.staleDrops - l.closeDrops
	s.KernelDrops = l.kernelDrops
}
