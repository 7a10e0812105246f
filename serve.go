package datagram

import (
	"context"
	"net"
)

// Serve receives datagrams and calls handle for each, one at a time, on the
// calling goroutine. It has the lowest latency of the ways to receive, and
// corresponds to the receive callback of libuv.
//
// Serve returns ctx's error when ctx ends, nil after [Conn.StopRecv],
// [net.ErrClosed] after Close, or the error that ended receiving. Except after
// Close, the next Serve or Recv starts with the datagrams that were received
// and not yet handled.
//
// What handle sends leaves after the current batch is handled, or earlier when
// Send waits for room, Flush is called, or handle takes long. A handler should
// not wait for an answer, since nothing is received meanwhile.
//
// A handle without a socket is first bound to 0.0.0.0:0. Serve returns EALREADY
// if the handle is already receiving through Recv, Serve, ServeBatch or a
// [PacketConn]. If receiving has been stopped, a handler that calls Serve or
// ServeBatch, or reads from a PacketConn, waits for itself.
func (c *Conn) Serve(ctx context.Context, handle func(Datagram)) error {
	if handle == nil {
		return c.opError("read", nil, c.argumentError(nilHandler))
	}
	return c.serve(ctx, c.recv.each(handle), nil)
}

// ServeBatch is like [Conn.Serve] for programs that work on many datagrams at a
// time, such as proxies and tunnels. It calls handle with the datagrams that
// were received together, oldest first and at least one. Those of one system
// call are never split, and may follow others left over from earlier receiving.
// Nothing is held back to make a batch larger. The slice is valid until handle
// returns; each payload is valid until its Release.
//
// If [Conn.StopRecv] is called or ctx ends while a batch is being handled,
// receiving ends after that call. What handle sends leaves when it returns, or
// earlier: see [Conn.Serve]. [Conn.SendBatch] sends many datagrams.
func (c *Conn) ServeBatch(ctx context.Context, handle func([]Datagram)) error {
	if handle == nil {
		return c.opError("read", nil, c.argumentError(nilHandler))
	}
	return c.serve(ctx, c.recv.together(handle), nil)
}

func (c *Conn) serve(ctx context.Context, deliver delivery, claimed func(stop func())) error {
	if err := c.checkContext(ctx); err != nil {
		return c.opError("read", nil, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := c.ensureBound(ctx, true); err != nil {
		return err
	}
	if !c.enter() {
		return c.opError("read", nil, net.ErrClosed)
	}
	defer c.leave()
	return c.recv.serve(ctx, deliver, claimed)
}
