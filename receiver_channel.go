package datagram

import "time"

// start starts or resumes receiving into a channel. A non-nil err makes it fail with that.
func (r *receiver) start(err error) <-chan Datagram {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.state {
	case receiving:
		return r.ch
	case closed:
		if r.ch == nil {
			r.ch = closedChannel()
		}
		return r.ch
	case serving, reading:
		err = r.config.describe(errReceiving)
	}
	if err != nil || !r.running && !r.config.enter() {
		r.err = err
		return closedChannel()
	}
	r.takeBack()
	r.ch = make(chan Datagram, r.config.queue)
	r.refill()
	r.enterState(receiving, nil)
	ch := r.ch
	r.current.Store(&ch)
	if r.running {
		r.wake()
	} else {
		r.running = true
		go r.run()
	}
	return r.ch
}

func closedChannel() chan Datagram {
	ch := make(chan Datagram)
	close(ch)
	return ch
}

// run receives and delivers into the channel until receiving ends.
func (r *receiver) run() {
	defer r.config.leave()
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.state == receiving {
		if r.lockIntake(r.session) {
			r.runSessions()
		}
	}
	r.running = false
}

// runSessions is run's loop with the intake held. mu must be held; runSessions releases it while
// waiting.
func (r *receiver) runSessions() {
	defer r.unlockIntake()
	var d Datagram // declared once: it is large, and millions pass each second
	for r.state == receiving {
		if r.next(&d) {
			r.push(&d)
		} else {
			d = Datagram{} // an idle handle keeps no payload
			r.receive()
		}
	}
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
		switch r.config.overflow {
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
			default: // the reader has taken it
			}
		case Block:
			r.offer(d)
			return
		}
	}
}

// offer waits until the reader makes room for d, until d is stale, or until the offer is withdrawn.
// In the last two cases d stays pending. mu must be held; offer releases it while waiting.
func (r *receiver) offer(d *Datagram) {
	r.intake.trim() // with a slow reader, keep only the memory of unread datagrams
	if r.withdrawals > 0 {
		// d goes before whatever another goroutine may put there meanwhile.
		r.pending.PushFront(*d)
		r.changed.Wait()
		return
	}
	taken := false
	r.offering = true
	ch := r.ch
	r.mu.Unlock()
	stale, stop := r.staleness(d)
	select {
	case ch <- *d:
		taken = true
	case <-stale:
	case <-r.wakeup:
	}
	stop()
	r.mu.Lock()
	r.offering = false
	r.changed.Broadcast()
	if taken {
		r.ledger.push(d, len(r.ch))
	} else {
		r.pending.PushFront(*d)
	}
}

// staleness returns a channel that receives when the datagram becomes stale, nil if it never does,
// and a function to call afterwards.
func (r *receiver) staleness(d *Datagram) (<-chan time.Time, func()) {
	limit := r.config.maxAge
	if limit == 0 || d.Meta.Time.IsZero() {
		return nil, func() {}
	}
	timer := time.NewTimer(limit + 1 - time.Since(d.Meta.Time))
	return timer.C, func() { timer.Stop() }
}

// withdraw withdraws an offer, so that channel and ledger agree: an offered datagram may be in the
// channel before run has noticed. mu must be held. withdraw waits for run only, never for the
// program's functions.
func (r *receiver) withdraw() {
	if !r.offering {
		return
	}
	r.withdrawals++
	for r.offering {
		r.wake()
		r.changed.Wait()
	}
	r.withdrawals--
	r.changed.Broadcast()
}

// takeBack moves what nobody has read from the last channel, which is closed, to pending. mu must
// be held.
func (r *receiver) takeBack() {
	if r.ch == nil {
		return
	}
	var left []Datagram
	for d := range r.ch {
		r.ledger.takeBack(&d, len(r.ch))
		left = append(left, d)
	}
	for i := range left {
		r.pending.PushFront(left[len(left)-1-i])
	}
}

// refill moves as much of pending as fits into a new channel, so that it can be read even if Close
// comes next. mu must be held.
func (r *receiver) refill() {
	var d Datagram
	for len(r.ch) < cap(r.ch) && r.pending.PopFront(&d) {
		if r.admit(&d) {
			r.ch <- d
			r.ledger.push(&d, len(r.ch))
		}
	}
}

// sortChannel drops datagrams of strangers from the channel. mu must be held, and nothing may be on
// offer.
func (r *receiver) sortChannel() {
	var keep []Datagram
	for empty := false; !empty; {
		select {
		case d := <-r.ch:
			r.ledger.takeBack(&d, len(r.ch))
			if r.strangers.isStranger(&d) {
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
	for i := range keep {
		r.ch <- keep[i]
		r.ledger.push(&keep[i], len(r.ch))
	}
}
