package datagram

import (
	"context"
	"net"
)

// DrainRecv stops receiving without losing or keeping anything: it takes no more
// datagrams from the system, waits until those it has taken are delivered, and
// then stops receiving as [Conn.StopRecv] does. Other holders of the socket, such
// as a successor that has a duplicate of its descriptor (see [Conn.File]),
// receive what the system still holds.
//
// With [Conn.Recv], DrainRecv returns when the last datagram is in the channel,
// which is then closed and stays readable: a loop over it ends by itself. With
// [Conn.Serve] and [Conn.ServeBatch] it returns when the last call of the
// handler has returned, and they return nil. Inside a handler it blocks until
// ctx ends. A later Recv or Serve resumes. With a [PacketConn] it returns when
// the last datagram has been read, and a read that waits then returns
// ECANCELED; since a later read resumes, repeat DrainRecv until all readers
// have ended.
//
// If ctx ends first, DrainRecv stops receiving at once and returns ctx's error;
// what was taken stays for the next Recv or Serve. StopRecv ends it with nil,
// Close with [net.ErrClosed]. If the handle is not receiving, DrainRecv returns
// nil.
func (c *Conn) DrainRecv(ctx context.Context) error {
	if err := c.checkContext(ctx); err != nil {
		return c.opError("drain", nil, err)
	}
	if !c.enter() {
		return c.opError("drain", nil, net.ErrClosed)
	}
	defer c.leave()
	return c.opError("drain", nil, c.recv.drain(ctx))
}

// drain ends the session when all that was taken from the socket is delivered, and waits for that.
func (r *receiver) drain(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		r.cancel()
		return ctx.Err()
	}
	session := r.session
	if r.state == reading && !r.intakeLocked && !r.hasMore() {
		r.end(stopped, nil)
	}
	if r.state == receiving || r.state == serving || r.state == reading {
		defer r.endWith(ctx, session)()
		r.draining = true
		r.interrupt()
		r.wake() // from a pause
		for r.session == session {
			r.changed.Wait()
		}
	}
	switch {
	case r.state == closed:
		return net.ErrClosed
	case r.isCancelled(ctx, session):
		return ctx.Err()
	}
	return nil
}
