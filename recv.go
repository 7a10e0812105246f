package datagram

import (
	"net"
)

// Recv returns the channel of received datagrams, and starts receiving the
// first time. While receiving goes on it is the same channel. It is closed by
// [Conn.StopRecv], by Close and by an error that ends receiving; [Conn.Err] tells which.
// A later Recv resumes after StopRecv, on a new channel that begins with what the old
// one still holds.
//
// A handle without a socket is bound to 0.0.0.0:0 first. If that fails, or
// [Conn.Serve] is running, the channel is closed already and Err says why.
// After Close it is the last channel, which still holds what was not read.
//
// Datagrams are in the order of the system. [WithRecvQueue] says how many the
// channel holds and what happens when it is full. It is uv_udp_recv_start.
func (c *Conn) Recv() <-chan Datagram {
	if ch := c.recv.current.Load(); ch != nil {
		return *ch
	}
	return c.recv.start()
}

// StopRecv stops receiving. When it returns the channel is closed. Nothing is lost: what is in the
// channel stays readable, and the next Recv or Serve begins with
// what is left of it. From inside a handler of [Conn.Serve] it returns at once, and no
// further call of the handler starts. It is nil when the handle is not
// receiving. It is uv_udp_recv_stop.
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
