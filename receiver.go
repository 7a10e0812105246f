package datagram

import (
	"sync"
	"sync/atomic"
	"time"

	"example.com/datagram/internal/deque"
	"example.com/datagram/internal/socket"
)

// A receiver takes datagrams from a socket and delivers them into a channel (receiver_channel.go),
// to a handler (receiver_serve.go), or to readers (receiver_reading.go).
//
// Life cycle: stopped -> receiving (Recv), serving (Serve) or reading (PacketConn) -> stopped, any
// number of times, then closed. One goroutine at a time holds the intake: run, which Recv starts, the
// caller of Serve, or the reader whose turn it is to wait for the socket. Stopping does not wait for
// that goroutine. It notices the change of state, moves what is left in the intake to pending, and
// returns.
//
// The path of a datagram: receive takes a batch from the socket into the intake, next cuts the next
// datagram from it, and push, handle or take delivers that.
type receiver struct {
	config receiveConfig

	// current is the channel while receiving, else nil.
	current atomic.Pointer[chan Datagram]

	mu    sync.Mutex // guards what follows
	sock  socket.Receiver
	udp   bool // sock's datagrams are UDP's
	state receiveState
	// session counts the changes of state. A Serve ends when it changes.
	session   uint64
	cancelled uint64        // the last session that the end of a context ended
	draining  bool          // the session ends when the intake is empty
	err       error         // what Err returns
	ended     error         // why the last session ended
	wakeup    chan struct{} // wakes the holder of the intake
	changed   sync.Cond     // signals changes of state, intakeLocked, fills, offering and withdrawals

	// ch is the current or last channel. Only the holder of mu sends on it, and run while offering
	// is true.
	ch       chan Datagram
	running  bool // run exists
	offering bool // run offers a datagram to a full ch, without mu
	// withdrawals counts the callers that need offering to be false. While it is not 0, run offers
	// nothing.
	withdrawals int

	// intake is what is left of the socket's last batch. While filling is true it belongs to the
	// socket, otherwise to the holder of mu.
	intake       intake
	intakeLocked bool // some goroutine holds the intake
	filling      bool // receive waits for the socket, without mu
	fills        int  // number of such waits that have ended
	interrupted  bool // the socket is interrupted until fill resumes it
	// pending holds what earlier sessions left. It is older than the intake.
	pending deque.Deque[Datagram]

	writes  writes      // what readers write
	turn    sync.Cond   // signals readers that nobody holds the intake, or why they cannot read
	refused atomic.Bool // the next read or write of a PacketConn returns ECONNREFUSED

	strangers strangerFilter
	copies    copyFilter
	ledger    receiveLedger
}

// receiveConfig is what a receiver needs to know of its handle.
type receiveConfig struct {
	queue       int // capacity of the channel
	overflow    Overflow
	maxDatagram int           // bytes
	maxAge      time.Duration // 0: no limit
	reporter    *errorReporter
	// describe returns the error to give the program when receiving fails.
	describe func(error) error
	// forgetPeer marks the handle unconnected if the system has disconnected its socket.
	forgetPeer func()
	// beginBatch and endBatch are called around the handling of datagrams that were received
	// together. more tells whether there may be more than one. beginReads is called before readers
	// take n, and lastOfBatch before they take the last. abandonBatch is endBatch, and leaves the
	// sending to others.
	beginBatch   func(more bool)
	beginReads   func(n int)
	lastOfBatch  func()
	endBatch     func()
	abandonBatch func()
	// bind gives the handle a socket that is bound, if it has none.
	bind func() error
	// enter and leave are called around run.
	enter func() bool
	leave func()
}

type receiveState uint8

const (
	stopped receiveState = iota
	receiving
	serving
	reading
	closed
)

func (r *receiver) init(config receiveConfig) {
	r.config = config
	r.changed.L, r.turn.L = &r.mu, &r.mu
	r.wakeup = make(chan struct{}, 1)
}

// attach sets the socket to receive from.
func (r *receiver) attach(s *openSocket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sock, r.udp = s, s.info.UDP
	r.strangers.connected = s.info.Remote.IsValid()
	r.ledger.lastDrops, _ = s.Drops()
}

// enterState changes the state. mu must be held.
func (r *receiver) enterState(state receiveState, err error) {
	r.state, r.err, r.ended = state, err, err
	r.draining = false
	r.session++
}

// stop ends receiving with err, nil for StopRecv.
func (r *receiver) stop(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(stopped, err)
}

// close ends receiving for good.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.end(closed, nil)
	if !r.intakeLocked {
		r.discard()
	}
	if r.sock != nil {
		r.readDrops()
	}
}

// end ends receiving or serving, and enters state. mu must be held.
func (r *receiver) end(state receiveState, err error) {
	was := r.state
	if was == stopped && state == stopped || was == closed {
		return
	}
	session := r.session
	r.withdraw()
	if r.session != session { // another call ended it meanwhile, and the next is not meant
		if state == closed {
			r.end(closed, err)
		}
		return
	}
	r.enterState(state, err)
	r.current.Store(nil)
	switch was {
	case receiving:
		close(r.ch)
	case reading:
		r.endReading()
	}
	if was != stopped {
		r.interrupt()
	}
	r.wake()
	r.changed.Broadcast()
}

// wake ends the current or next wait of the intake's holder.
func (r *receiver) wake() {
	select {
	case r.wakeup <- struct{}{}:
	default:
	}
}

// lockIntake waits for the intake until the session is over, and reports whether it got it. mu must
// be held; lockIntake releases it while waiting.
func (r *receiver) lockIntake(session uint64) bool {
	for r.intakeLocked && r.session == session {
		r.changed.Wait()
	}
	if r.session != session {
		return false
	}
	r.intakeLocked = true
	return true
}

// unlockIntake releases the intake and keeps what is left in it. mu must be held.
func (r *receiver) unlockIntake() {
	r.setAside()
	r.intake.free()
	if r.state == closed {
		r.discard()
	}
	r.intakeLocked = false
	r.changed.Broadcast()
	r.turn.Broadcast()
}

// setAside moves what is left in the intake to pending. mu must be held.
func (r *receiver) setAside() {
	if r.intake.isEmpty() {
		return
	}
	r.intake.lend()
	var d Datagram
	for r.intake.next(&d, r.config.maxDatagram) {
		r.pending.PushBack(d)
	}
}

// discard drops, at Close, datagrams that no reader can get. mu must be held.
func (r *receiver) discard() {
	r.ledger.closeDrops += uint64(r.pending.Len())
	var d Datagram
	for r.pending.PopFront(&d) {
		d.Release()
	}
}

// receive waits for datagrams, or ends a session that is being drained. All earlier ones must have
// been delivered. mu must be held; receive releases it while waiting.
func (r *receiver) receive() {
	if r.draining {
		r.end(stopped, nil)
		return
	}
	before := r.strangers.begin()
	if err := r.fill(); err != nil {
		r.failed(err)
		return
	}
	r.strangers.received(before, r.intake.batch.Waited)
	r.ledger.receive(r.intake.begin(r.config.maxDatagram))
	if r.state != reading { // readers copy
		r.intake.lend()
	}
	for range r.intake.batch.ControlErrors {
		r.config.reporter.receiveError(socket.ErrControl)
	}
}

// fill lets the socket fill the intake. mu must be held; fill releases it meanwhile.
func (r *receiver) fill() error {
	r.filling = true
	r.mu.Unlock()
	err := r.sock.Receive(&r.intake.batch)
	r.mu.Lock()
	r.filling = false
	r.fills++
	if r.interrupted {
		r.interrupted = false
		r.sock.Resume() // others may read the descriptor
	}
	r.changed.Broadcast()
	return err
}

// next sets d to the next datagram to deliver, and reports whether there is one. mu must be held.
func (r *receiver) next(d *Datagram) bool {
	for r.pending.PopFront(d) || r.intake.next(d, r.config.maxDatagram) {
		if r.admit(d) {
			return true
		}
	}
	return false
}

// hasMore reports whether next may have more to return. mu must be held.
func (r *receiver) hasMore() bool {
	return r.pending.Len() > 0 || !r.intake.isEmpty()
}

// admit reports whether to deliver d. If not, it counts and releases d. mu must be held.
func (r *receiver) admit(d *Datagram) bool {
	d.connected = r.strangers.connected
	switch {
	case r.isStale(d):
		r.ledger.staleDrops++
	case r.strangers.excludes(d), r.copies.excludes(d):
		r.ledger.policyDrops++
	default:
		return true
	}
	d.Release()
	return false
}

// isStale reports whether a datagram has waited too long.
func (r *receiver) isStale(d *Datagram) bool {
	limit := r.config.maxAge
	return limit > 0 && !d.Meta.Time.IsZero() && time.Since(d.Meta.Time) > limit
}

// interrupt interrupts a receive in progress. mu must be held.
func (r *receiver) interrupt() {
	if r.filling {
		r.sock.Interrupt()
		r.interrupted = true
	}
}

func (r *receiver) active() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state != stopped && r.state != closed
}
