package datagram

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/datagram/internal/socket"
)

// receiver takes datagrams from the socket and delivers them.
//
// Life cycle: stopped -> receiving (Recv) or serving (Serve) -> stopped, any
// number of times, then closed. One goroutine at a time is busy with the
// intake: run, started by Recv, or the caller of Serve. It alone touches the
// intake; everything else is guarded by mu. Stopping does not wait for it: it
// notices by itself, leaves what it had taken in pending and goes.
type receiver struct {
	conn *Conn

	// current is the channel while receiving, else nil.
	current atomic.Pointer[chan Datagram]

	mu    sync.Mutex
	state receiveState
	// session tells a Serve whether it is still the one that is meant.
	session uint64
	err     error
	// ch is the current or last channel. Only whoever holds mu, or run while
	// handing is true, sends on it.
	ch      chan Datagram
	running bool // run exists
	busy    bool // somebody owns the intake
	handing bool // run waits for room in ch, without mu
	// settling counts who needs handing to be false. run does not begin to
	// wait meanwhile.
	settling    int
	interrupted bool // until the owner of the intake tells the socket to resume
	changed     sync.Cond
	kick        chan struct{} // ends a wait of run
	// pending was taken from the socket and is neither delivered nor in ch. pending[0] is the oldest.
	pending []Datagram

	intake intake
	ledger receiveLedger
}

type receiveState uint8

const (
	stopped receiveState = iota
	receiving
	serving
	closed
)

func (r *receiver) init(c *Conn) {
	r.conn = c
	r.changed.L = &r.mu
	r.kick = make(chan struct{}, 1)
}

// enterState changes the state. mu must be held.
func (r *receiver) enterState(state receiveState, err error) {
	r.state, r.err = state, err
	r.session++
}

// stop ends receiving because of err, nil for StopRecv.
func (r *receiver) stop(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(stopped, err)
}

// end leaves the state of receiving or serving. mu must be held.
func (r *receiver) end(state receiveState, err error) {
	was := r.state
	if was == stopped && state == stopped || was == closed {
		return
	}
	r.settle()
	if r.state != was { // somebody else was faster
		r.end(state, err)
		return
	}
	r.enterState(state, err)
	r.current.Store(nil)
	if was == receiving {
		close(r.ch)
	}
	if s := r.conn.socket(); s != nil && was != stopped {
		s.Interrupt()
		r.interrupted = true
	}
	r.wake()
	r.changed.Broadcast()
}

// close ends receiving for good.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(closed, nil)
	if !r.busy {
		r.discard()
	}
}

// discard drops at Close what found no reader. mu must be held.
func (r *receiver) discard() {
	for _, d := range r.pending {
		d.Release()
	}
	r.ledger.closeDrops += uint64(len(r.pending))
	r.pending = nil
}

// settle waits until run does not wait for room in the channel, so that the channel and
// the ledger agree. mu must be held; nothing of the program's runs meanwhile.
func (r *receiver) settle() {
	if !r.handing {
		return
	}
	r.settling++
	for r.handing {
		r.wake()
		r.changed.Wait()
	}
	r.settling--
	r.changed.Broadcast()
}

// wake ends a wait of run, now or the next.
func (r *receiver) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// own waits for the right to the intake. mu must be held.
func (r *receiver) own() {
	for r.busy {
		r.changed.Wait()
	}
	r.busy = true
}

// disown gives up the intake and keeps what was taken. mu must be held.
func (r *receiver) disown() {
	r.spill()
	r.intake.free()
	if r.state == closed {
		r.discard()
	}
	r.busy = false
	r.changed.Broadcast()
}

// receive waits for datagrams. mu must be held and is not while waiting.
func (r *receiver) receive(s *openSocket) {
	if r.interrupted {
		r.interrupted = false
		s.Resume()
	}
	r.mu.Unlock()
	err := s.Receive(&r.intake.batch)
	r.mu.Lock()
	r.received(err)
}

// putBack makes d the next datagram again. mu must be held.
func (r *receiver) putBack(d *Datagram) {
	r.pending = append([]Datagram{*d}, r.pending...)
}

// next makes d the next datagram to deliver. mu must be held.
func (r *receiver) next(d *Datagram) bool { return r.nextFrom(&r.intake, d) }

// nextFrom is next with an intake, or with nil for what is pending alone.
func (r *receiver) nextFrom(in *intake, d *Datagram) bool {
	peer := r.conn.peer.Load()
	for {
		if len(r.pending) > 0 {
			*d = r.pending[0]
			r.pending[0] = Datagram{}
			if r.pending = r.pending[1:]; len(r.pending) == 0 {
				r.pending = nil
			}
		} else if in == nil || !in.next(d, r.conn.config.maxDatagram) {
			return false
		}
		d.connected = peer != nil
		switch {
		case r.isStale(d):
			r.ledger.staleDrops++
		case peer != nil && isStranger(d, *peer):
			r.ledger.policyDrops++
		default:
			return true
		}
		d.Release()
	}
}

// hasMore reports whether next has more to return. mu must be held.
func (r *receiver) hasMore() bool {
	return len(r.pending) > 0 || r.intake.message < len(r.intake.batch.Messages)
}

// isStale says whether a datagram has waited for too long.
func (r *receiver) isStale(d *Datagram) bool {
	limit := r.conn.config.maxAge
	return limit > 0 && !d.Meta.Time.IsZero() && time.Since(d.Meta.Time) > limit
}

// staleness returns a channel that says when a datagram has waited for too long, if it ever will, and
// what to call after.
func (r *receiver) staleness(d *Datagram) (<-chan time.Time, func()) {
	limit := r.conn.config.maxAge
	if limit == 0 || d.Meta.Time.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(limit + 1 - time.Since(d.Meta.Time))
	return timer.C, func() { timer.Stop() }
}

// isStranger says whether a datagram was sent by somebody else than the peer, before
// the handle was connected: since then the system keeps them out. Zones do not count,
// since interfaces may be renamed.
func isStranger(d *Datagram, peer netip.AddrPort) bool {
	return d.Addr.IsValid() &&
		(d.Addr.Port() != peer.Port() || d.Addr.Addr().WithZone("") != peer.Addr().WithZone(""))
}

// spill moves what is left of the intake to pending. mu must be held.
func (r *receiver) spill() {
	var d Datagram
	if n := r.intake.remaining(); n > 0 {
		r.pending = slices.Grow(r.pending, n)
	}
	for r.intake.next(&d, r.conn.config.maxDatagram) {
		r.pending = append(r.pending, d)
	}
}

// received accounts for what a Receive brought, or for its error. mu must be held.
func (r *receiver) received(err error) {
	if err == nil {
		r.intake.begin()
		r.ledger.receive(&r.intake, r.conn.config.maxDatagram)
		for range r.intake.batch.ControlErrors {
			r.tell(socket.ErrControl)
		}
		return
	}
	if list := socket.NetworkErrors(nil); errors.As(err, &list) {
		r.outside(func() { r.conn.tellNetworkErrors(list) })
		return
	}
	switch {
	case errors.Is(err, socket.ErrInterrupted), r.conn.closed.Load():
		return // the state says what comes now
	case isTerminal(err):
		r.end(stopped, r.conn.opError("read", nil, err))
	default:
		r.intake.failures++
		r.tell(err)
		r.pause()
	}
}

// countErrors counts errors after which receiving goes on, of which the error handler is told.
func (r *receiver) countErrors(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.errors += uint64(n)
}

// tell counts an error after which receiving goes on, and tells the error handler. mu must be held and is
// not meanwhile.
func (r *receiver) tell(err error) {
	r.ledger.errors++
	if handle := r.conn.config.errorHandler; handle != nil {
		r.outside(func() { handle(r.conn.opError("read", nil, err)) })
	}
}

// outside calls f without mu, also if f panics.
func (r *receiver) outside(f func()) {
	r.mu.Unlock()
	defer r.mu.Lock()
	f()
}

func (r *receiver) active() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == receiving || r.state == serving
}
