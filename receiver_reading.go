package datagram

import (
	"errors"
	"net"
	"os"
	"syscall"

	"example.com/datagram/internal/deadline"
	"example.com/datagram/internal/socket"
)

// Readers take datagrams from the intake themselves. They take turns: one waits for the socket, with
// the intake locked, and the others wait for their turn. Between two reads nobody holds the intake.

// take waits for datagrams until the deadline passes, and moves as many as there are into ds, whose
// length must not be 0. Each datagram goes to one reader. If p is not nil, ds has one element, whose
// payload take moves to p.
func (r *receiver) take(ds []Datagram, p []byte, until *deadline.Deadline) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.turn.Signal()
	if err := r.claim(); err != nil {
		return 0, err
	}
	for session := r.session; ; {
		if err := r.mayRead(session, until); err != nil {
			return 0, err
		}
		if r.intakeLocked {
			r.turn.Wait()
			continue
		}
		if n := r.move(ds, p); n > 0 {
			r.holdWrites()
			if r.draining && !r.hasMore() {
				r.end(stopped, nil)
			}
			return n, nil
		}
		if r.writes != atOnce {
			r.writes = atOnce
			r.outside(r.config.endBatch)
			continue
		}
		r.awaitSocket()
	}
}

// What a program writes while it reads datagrams that were received together leaves together, as
// what a handler sends does: with what it writes after the last of these, or before a reader waits.
type writes uint8

const (
	atOnce   writes = iota
	heldBack        // readers have more to take
	due             // they have taken the last
)

// holdWrites begins or ends to hold back what is written. mu must be held.
func (r *receiver) holdWrites() {
	switch more := r.hasMore(); {
	case more && r.writes != heldBack:
		r.writes = heldBack
		r.config.beginReads(r.pending.Len() + r.intake.received)
	case !more && r.writes == heldBack:
		r.writes = due
		r.config.lastOfBatch()
	}
}

// claim begins to read, unless others receive. mu must be held; claim releases it while it binds the
// socket.
func (r *receiver) claim() error {
	if r.state == stopped {
		r.mu.Unlock()
		err := r.config.bind()
		r.mu.Lock()
		if err != nil {
			return err
		}
	}
	switch r.state {
	case reading:
		return nil
	case stopped:
		r.takeBack()
		r.enterState(reading, nil)
		return nil
	case closed:
		return net.ErrClosed
	default:
		return errReceiving
	}
}

// mayRead returns why a reader of the session cannot read. mu must be held.
func (r *receiver) mayRead(session uint64, until *deadline.Deadline) error {
	switch {
	case r.state == closed:
		return net.ErrClosed
	case r.session == session+1 && r.ended != nil:
		return r.ended
	case r.session != session:
		return syscall.ECANCELED
	case until.HasPassed():
		return os.ErrDeadlineExceeded
	}
	return r.takeRefusal()
}

// move moves datagrams into ds, and the payload of the first to p if that is not nil. An idle handle
// keeps no memory to receive into. mu must be held.
func (r *receiver) move(ds []Datagram, p []byte) (n int) {
	if p == nil && !r.intake.isEmpty() {
		r.intake.lend()
	}
	for n < len(ds) && r.next(&ds[n]) {
		r.ledger.serve(&ds[n])
		n++
	}
	if p != nil && n > 0 {
		ds[0].moveTo(p)
	}
	if r.intake.isEmpty() {
		r.intake.free()
	}
	return n
}

// awaitSocket receives with the intake locked. mu must be held; awaitSocket releases it while
// waiting.
func (r *receiver) awaitSocket() {
	session := r.session
	r.intakeLocked = true
	r.receive()
	if r.session == session {
		r.intakeLocked = false
	} else {
		r.unlockIntake()
	}
}

// endReading sets aside what is left in the intake and wakes the readers, if none of them holds it;
// otherwise that one does. mu must be held.
func (r *receiver) endReading() {
	if r.writes != atOnce {
		r.writes = atOnce
		r.config.abandonBatch()
	}
	if !r.intakeLocked {
		r.unlockIntake()
	}
}

// stopReading ends reading, and no other way of receiving.
func (r *receiver) stopReading() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == reading {
		r.end(stopped, nil)
	}
}

// readDeadline makes readers look at their deadline, which has passed.
func (r *receiver) readDeadline() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interruptReader()
	r.turn.Broadcast()
}

// interruptReader interrupts the reader that waits for the socket, or ends its current or next pause.
// mu must be held.
func (r *receiver) interruptReader() {
	switch {
	case r.state != reading:
	case r.filling:
		r.interrupt()
	case r.intakeLocked:
		r.wake()
	}
}

// met notes a refusal that a send has met.
func (r *receiver) met(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse(err)
}

// refuse keeps the error for the next read or write if the peer has refused a datagram. mu must be
// held.
func (r *receiver) refuse(err error) {
	if !r.strangers.connected || !isRefusal(err) {
		return
	}
	r.refused.Store(true)
	r.interruptReader()
	r.turn.Signal()
}

func isRefusal(err error) bool {
	list := socket.NetworkErrors(nil)
	if !errors.As(err, &list) {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	for _, e := range list {
		if e.Errno == syscall.ECONNREFUSED {
			return true
		}
	}
	return false
}

// takeRefusal returns ECONNREFUSED once after the peer has refused a datagram.
func (r *receiver) takeRefusal() error {
	if r.refused.Load() && r.refused.Swap(false) {
		return syscall.ECONNREFUSED
	}
	return nil
}
