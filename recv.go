package datagram

import (
	"context"
	"net"
	"net/netip"
	"syscall"
)

// Recv returns the channel of received datagrams, and starts receiving the
// first time. While receiving goes on it is the same channel. It is closed by
// [Conn.StopRecv], by Close and by an error that ends receiving; [Conn.Err]
// tells which. A later Recv resumes after StopRecv, on a new channel that
// begins with what the old one still holds.
//
// A handle without a socket is bound to 0.0.0.0:0 first. If that fails, or
// [Conn.Serve] is running, the channel is closed already and Err says why.
// After Close it is the last channel, which still holds what was not read.
//
// Datagrams are in the order of the system. [WithRecvQueue] says how many the
// channel holds and what happens when it is full. libuv calls it uv_udp_recv_start.
func (c *Conn) Recv() <-chan Datagram {
	if ch := c.recv.current.Load(); ch != nil {
		return *ch
	}
	return c.recv.start()
}

// StopRecv stops receiving. When it returns the channel is closed. Nothing is
// lost: what is in the channel stays readable, and the next Recv or Serve
// begins with what is left of it. From inside a handler of [Conn.Serve] it
// returns at once, and no further call of the handler starts. It is nil when
// the handle is not receiving. libuv calls it uv_udp_recv_stop.
func (c *Conn) StopRecv() error {
	if c.closed.Load() {
		return c.opError("stop", nil, net.ErrClosed)
	}
	c.recv.stop(nil)
	return nil
}

// Err returns why receiving has ended: nil while it goes on and after StopRecv,
// [net.ErrClosed] after Close, or the error that ended it. After a Recv that was
// refused it says why.
func (c *Conn) Err() error {
	r := &c.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.closed.Load() {
		return c.opError("read", nil, net.ErrClosed)
	}
	return r.err
}

// start begins or resumes receiving into a channel.
func (r *receiver) start() <-chan Datagram {
	s, err := r.conn.ensureBound(context.Background(), true)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.state == receiving:
		return r.ch
	case r.state == closed || r.conn.closed.Load():
		if r.ch == nil {
			r.ch = make(chan Datagram)
			close(r.ch)
		}
		return r.ch
	case r.state == serving:
		err = r.conn.opError("read", nil, syscall.EALREADY)
	}
	if err != nil || !r.running && !r.conn.enter() {
		r.err = err
		refused := make(chan Datagram)
		close(refused)
		return refused
	}
	r.reclaim()
	r.ch = make(chan Datagram, r.conn.config.recvQueue)
	r.refill()
	r.enterState(receiving, nil)
	ch := r.ch
	r.current.Store(&ch)
	if r.running {
		r.wake()
	} else {
		r.running = true
		go r.run(s)
	}
	return r.ch
}

// run receives and delivers into the channel until receiving ends.
func (r *receiver) run(s *openSocket) {
	defer r.conn.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own()
	var d Datagram // in one place: it is large, and there are millions a second
	for r.state == receiving {
		if r.next(&d) {
			r.push(&d)
		} else {
			r.receive(s)
		}
	}
	r.running = false
	r.disown()
}

// push delivers a datagram into the channel. mu must be held.
func (r *receiver) push(d *Datagram) {
	for {
		select {
		case r.ch <- *d:
			r.ledger.push(d, len(r.ch))
			return
		default:
		}
		switch r.conn.config.overflow {
		case DropNewest:
			r.ledger.policyDrops++
			d.Release()
			return
		case DropOldest:
			select {
			case oldest := <-r.ch:
				r.ledger.takeBack(&oldest, len(r.ch))
				r.ledger.policyDrops++
				oldest.Release()
			default: // the reader was faster
			}
		case Block:
			r.hand(d)
			return
		}
	}
}

// hand waits until the reader makes room for d, d is too old, or somebody else needs the
// receiver; then d stays pending. mu must be held and is not while waiting.
func (r *receiver) hand(d *Datagram) {
	r.intake.batch.Trim() // a slow reader holds no more than what is there to read
	if r.settling > 0 {
		// The place of d is before what somebody else may put there meanwhile.
		r.putBack(d)
		r.changed.Wait()
		return
	}
	pushed := false
	r.handing = true
	ch := r.ch
	r.mu.Unlock()
	stale, stop := r.staleness(d)
	select {
	case ch <- *d:
		pushed = true
	case <-stale:
	case <-r.kick:
	}
	stop()
	r.mu.Lock()
	r.handing = false
	r.changed.Broadcast()
	if pushed {
		r.ledger.push(d, len(r.ch))
	} else {
		r.putBack(d)
	}
}

// reclaim takes back what nobody has read from the last channel, which is
// closed. mu must be held.
func (r *receiver) reclaim() {
	if r.ch == nil {
		return
	}
	var left []Datagram
	for d := range r.ch {
		r.ledger.takeBack(&d, len(r.ch))
		left = append(left, d)
	}
	r.pending = append(left, r.pending...)
}

// refill puts what is pending into a new channel, as far as it fits, so that it is there to
// read even if Close comes next. mu must be held.
func (r *receiver) refill() {
	var d Datagram
	for len(r.ch) < cap(r.ch) && r.nextFrom(nil, &d) {
		r.ch <- d
		r.ledger.push(&d, len(r.ch))
	}
}

// dropStrangers drops what others than the peer sent and is not delivered yet.
func (r *receiver) dropStrangers(peer netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
	if r.state != receiving {
		return // next does it
	}
	// Only the channel has to be sorted out, and nobody else fills it.
	var keep []Datagram
	for empty := false; !empty; {
		select {
		case d := <-r.ch:
			r.ledger.takeBack(&d, len(r.ch))
			if isStranger(&d, peer) {
				r.ledger.policyDrops++
				d.Release()
			} else {
				d.connected = true
				keep = append(keep, d)
			}
		default:
			empty = true
		}
	}
	for _, d := range keep {
		r.ch <- d
		r.ledger.push(&d, len(r.ch))
	}
}
