package datagram

import (
	"context"
	"net"
	"syscall"
)

// Serve receives datagrams and calls handle for each, one at a time, on the
// calling goroutine: the way of the lowest latency, and the receive callback of
// libuv. It returns ctx's error when ctx ends, nil after [Conn.StopRecv],
// [net.ErrClosed] after Close, or the error that ended receiving. What was
// taken from the system and not handled yet is kept for the next Serve or Recv,
// but for Close.
//
// What handle sends leaves when the datagrams that were received together have
// been handled, or when somebody waits for it; a handler should not wait for an
// answer, since nothing is received meanwhile.
//
// A handle without a socket is bound to 0.0.0.0:0 first. Serve while the
// handle is receiving, in either way, is EALREADY. A handler that calls
// Serve waits for itself.
func (c *Conn) Serve(ctx context.Context, handle func(Datagram)) error {
	if ctx == nil || handle == nil || c.closed.Load() {
		return c.opError("read", nil, c.argumentError())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := c.ensureBound(ctx, true)
	if err != nil {
		return err
	}
	if !c.enter() {
		return c.opError("read", nil, net.ErrClosed)
	}
	defer c.leave()
	return c.recv.serve(ctx, s, handle)
}

// serve runs a session of Serve.
func (r *receiver) serve(ctx context.Context, s *openSocket, handle func(Datagram)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.conn.closed.Load():
		return r.conn.opError("read", nil, net.ErrClosed)
	case r.state != stopped:
		return r.conn.opError("read", nil, syscall.EALREADY)
	}
	r.enterState(serving, nil)
	session := r.session

	cancelled := false
	cancel := context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.session == session {
			cancelled = true
			r.end(stopped, nil)
		}
	})
	defer cancel()
	defer func() {
		if r.session == session { // the handler panicked
			r.end(stopped, nil)
		}
	}()

	r.serveSession(ctx, s, session, handle)
	if r.session == session && ctx.Err() != nil { // noticed before cancel's function was called
		cancelled = true
		r.end(stopped, nil)
	}
	switch {
	case r.conn.closed.Load():
		return r.conn.opError("read", nil, net.ErrClosed)
	case cancelled:
		return ctx.Err()
	case r.session == session+1:
		return r.err
	}
	return nil // stopped, and started again since
}

// serveSession receives and handles until the session is over, which it may be before the
// handler of an earlier one has returned. mu must be held.
func (r *receiver) serveSession(ctx context.Context, s *openSocket, session uint64, handle func(Datagram)) {
	for r.busy && r.session == session {
		r.changed.Wait()
	}
	if r.session != session {
		return
	}
	r.busy = true
	defer r.disown()
	r.reclaim()
	// Sending at the end of a batch lets go of mu: the session may be over since.
	for r.serveBatch(ctx, session, handle) && r.session == session {
		r.receive(s)
	}
}

// serveBatch handles what was received together, and reports whether the
// session goes on. What the handler sends meanwhile is sent at the end, on this
// goroutine. mu must be held and is not while the handler runs.
func (r *receiver) serveBatch(ctx context.Context, session uint64, handle func(Datagram)) bool {
	send := &r.conn.send
	held := false
	defer func() {
		if held {
			r.outside(send.Unhold)
		}
	}()
	for r.session == session && ctx.Err() == nil {
		var d Datagram
		if !r.next(&d) {
			return true
		}
		r.ledger.serve(&d)
		if !held {
			held = true
			send.Hold(r.hasMore())
		}
		r.handle(handle, d)
	}
	return false
}

// handle is outside for a handler, without a closure.
func (r *receiver) handle(handle func(Datagram), d Datagram) {
	r.mu.Unlock()
	defer r.mu.Lock()
	handle(d)
}
