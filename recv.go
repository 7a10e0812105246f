package datagram

import (
	"context"
	"net"
)

// Recv returns the channel of received datagrams. The first call starts
// receiving; while receiving continues, later calls return the same channel.
//
// The channel is closed by [Conn.StopRecv], by Close, and by an error that ends
// receiving; [Conn.Err] tells which. Recv after StopRecv resumes receiving on a
// new channel, which starts with the datagrams left in the old one. Recv after
// Close returns the last channel, which still holds the datagrams that were not
// read.
//
// A handle without a socket is first bound to 0.0.0.0:0. If that fails, or if
// [Conn.Serve] is running or a [PacketConn] reads, Recv returns a closed channel
// and Err says why.
//
// Datagrams arrive in the order in which the system delivers them.
// [WithRecvQueue] sets the capacity of the channel and what happens when it is
// full. libuv calls it uv_udp_recv_start.
func (c *Conn) Recv() <-chan Datagram {
	if ch := c.recv.current.Load(); ch != nil {
		return *ch
	}
	_, err := c.ensureBound(context.Background(), true)
	return c.recv.start(err)
}

// StopRecv stops receiving. The channel is closed when it returns. No datagram
// is lost: those in the channel stay readable, and the next Recv or Serve
// starts with whatever is left. Waiting reads of a [PacketConn] end too. Called from inside a handler of [Conn.Serve],
// StopRecv returns at once, and the handler is not called again. If the handle
// is not receiving, StopRecv does nothing and returns nil. libuv calls it
// uv_udp_recv_stop.
func (c *Conn) StopRecv() error {
	if c.closed.Load() {
		return c.opError("stop", nil, net.ErrClosed)
	}
	c.recv.stop(nil)
	return nil
}

// Err returns the reason why receiving has ended. It returns nil while
// receiving continues and after StopRecv, [net.ErrClosed] after Close, and
// otherwise the error that ended it, such as ECONNABORTED when the system has
// permanently taken away the socket's port or peer (see [Conn.Connect]). If
// Recv returned a closed channel, Err says why.
func (c *Conn) Err() error {
	r := &c.recv
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.closed.Load() {
		return c.opError("read", nil, net.ErrClosed)
	}
	return r.err
}

func (c *Conn) initReceiver() {
	c.recv.init(receiveConfig{
		queue:        c.config.recvQueue,
		overflow:     c.config.overflow,
		maxDatagram:  c.config.maxDatagram,
		maxAge:       c.config.maxAge,
		reporter:     &c.reporter,
		describe:     func(err error) error { return c.opError("read", nil, err) },
		forgetPeer:   c.forgetPeer,
		beginBatch:   c.send.BeginBatch,
		beginReads:   c.send.BeginReads,
		lastOfBatch:  c.send.LastOfBatch,
		endBatch:     c.send.EndBatch,
		abandonBatch: c.send.AbandonBatch,
		bind: func() error {
			_, err := c.ensureBound(context.Background(), true)
			return err
		},
		enter: c.enter,
		leave: c.leave,
	})
}
