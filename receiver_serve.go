package datagram

import (
	"context"
	"net"
	"sync"
)

// A delivery passes datagrams that were received together to the program, and reports whether the
// session continues. mu must be held; a delivery releases it while the program's handler runs.
type delivery func(ctx context.Context, session uint64) bool

// serve runs a session of Serve or ServeBatch. If claimed is not nil, serve calls it when the handle
// can no longer be received from in other ways, and before anything is received. stop ends this
// session, and no other, at once.
func (r *receiver) serve(ctx context.Context, deliver delivery, claimed func(stop func())) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.state {
	case stopped:
	case closed:
		return r.config.describe(net.ErrClosed)
	default:
		return r.config.describe(errReceiving)
	}
	r.enterState(serving, nil)
	session := r.session

	defer r.endWith(ctx, session)()
	defer func() {
		if r.session == session { // the handler panicked or called runtime.Goexit
			r.end(stopped, nil)
		}
	}()

	if claimed != nil {
		r.outside(func() { claimed(func() { r.stopSession(session) }) })
	}
	r.serveSession(ctx, session, deliver)
	if r.session == session && ctx.Err() != nil { // noticed before the AfterFunc ran
		r.cancel()
	}
	switch {
	case r.state == closed:
		return r.config.describe(net.ErrClosed)
	case r.isCancelled(ctx, session):
		return ctx.Err()
	case r.session == session+1:
		return r.ended
	}
	return nil // stopped, and started again meanwhile
}

// endWith makes the session end with ctx. The caller must have entered, and call forget later.
func (r *receiver) endWith(ctx context.Context, session uint64) (forget func()) {
	r.config.enter() // cannot fail: the caller has entered; Done waits for the AfterFunc
	cancel := context.AfterFunc(ctx, func() {
		defer r.config.leave()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.session == session {
			r.cancel()
		}
	})
	return func() {
		if cancel() {
			r.config.leave()
		}
	}
}

// cancel ends the session, if there is one, because a context has ended. mu must be held.
func (r *receiver) cancel() {
	if r.state != stopped {
		r.cancelled = r.session
		r.end(stopped, nil)
	}
}

// isCancelled reports whether the session ended because a context did, and ctx has ended too. mu must be held.
func (r *receiver) isCancelled(ctx context.Context, session uint64) bool {
	return r.cancelled == session && ctx.Err() != nil
}

// stopSession is stop for one session.
func (r *receiver) stopSession(session uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session != session {
		return
	}
	r.end(stopped, nil)
}

// serveSession receives and handles until the session is over, possibly before the handler of an
// earlier session has returned. mu must be held; serveSession releases it while waiting.
func (r *receiver) serveSession(ctx context.Context, session uint64, deliver delivery) {
	if !r.lockIntake(session) {
		return
	}
	defer r.unlockIntake()
	r.takeBack()
	// Sending at the end of a batch releases mu, so the session may have ended since.
	for deliver(ctx, session) && r.session == session {
		r.receive()
	}
}

// each is the delivery of Serve, one datagram at a time. What the handler queues is sent at the
// end, on this goroutine.
func (r *receiver) each(handle func(Datagram)) delivery {
	return func(ctx context.Context, session uint64) bool {
		begun := false
		defer func() {
			if begun {
				r.outside(r.config.endBatch)
			}
		}()
		for r.session == session && ctx.Err() == nil {
			var d Datagram
			if !r.next(&d) {
				return true
			}
			r.ledger.serve(&d)
			if !begun {
				begun = true
				r.config.beginBatch(r.hasMore())
			}
			r.handle(handle, d)
		}
		return false
	}
}

// handle calls a handler without mu, and locks it again even if the handler panics.
func (r *receiver) handle(handle func(Datagram), d Datagram) {
	r.mu.Unlock()
	defer r.mu.Lock()
	handle(d)
}

// together is the delivery of ServeBatch, all datagrams at once.
func (r *receiver) together(handle func([]Datagram)) delivery {
	return func(ctx context.Context, session uint64) bool {
		if r.session != session || ctx.Err() != nil {
			return false
		}
		if !r.hasMore() {
			return true // an idle handle holds no slice
		}
		batch := batches.Get().(*batchSlice)
		defer batch.free()
		var d Datagram
		for r.next(&d) {
			batch.datagrams = append(batch.datagrams, d)
			r.ledger.serve(&d)
		}
		if len(batch.datagrams) > 0 {
			r.config.beginBatch(len(batch.datagrams) > 1)
			n := len(batch.datagrams)
			r.handleBatch(handle, batch.datagrams[:n:n]) // so that append copies
		}
		return true
	}
}

// handleBatch calls a handler without mu and then sends what it has queued, even if it panics.
func (r *receiver) handleBatch(handle func([]Datagram), batch []Datagram) {
	r.mu.Unlock()
	defer r.mu.Lock()
	defer r.config.endBatch()
	handle(batch)
}

// A batchSlice holds the datagrams of one call of a batch handler, which may have changed it.
type batchSlice struct{ datagrams []Datagram }

var batches = sync.Pool{New: func() any { return new(batchSlice) }}

// free drops all datagrams.
func (s *batchSlice) free() {
	clear(s.datagrams)
	s.datagrams = s.datagrams[:0]
	batches.Put(s)
}

// outside calls f without mu.
func (r *receiver) outside(f func()) {
	r.mu.Unlock()
	defer r.mu.Lock()
	f()
}
