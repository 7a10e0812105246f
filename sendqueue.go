package datagram

import (
	"context"
	"net"
	"syscall"

	"example.com/datagram/internal/send"
	"example.com/datagram/internal/socket"
)

// Send queues a datagram. The payload is copied: the caller's memory is free
// when Send returns. When the queue is full (see [WithSendQueue]) Send waits
// for room until ctx ends, and returns ctx's error then; a ctx that has ended
// already is refused. A handle without a socket is bound first, to the wildcard
// address of the destination's family.
//
// Send does not wait until the datagram is sent. What the system says about it
// goes to the function of [WithErrorHandler] and to [Stats]: see
// [Conn.SendFunc]. What the system has no place for (ENOBUFS) is tried again
// for some 13 milliseconds before it fails, and those behind it wait. Datagrams
// to one destination leave in the order of their acceptance.
//
// On a connected handle a destination is EISCONN, on an unconnected UDP handle none is
// EDESTADDRREQ. libuv calls it uv_udp_send.
func (c *Conn) Send(ctx context.Context, d Datagram) error {
	return c.queueSend(ctx, &d, nil, nil)
}

// SendFunc is Send with a completion function: done is called once, with nil or
// the error of this datagram, when the system has answered, or with
// [net.ErrClosed] when the handle was closed before. Completion functions of a
// handle are called in the order of the queue, one at a time, from a goroutine
// of the handle, after the queue's size has gone down and never before SendFunc
// returns. They may call every method of the handle; while one waits the next
// does. If SendFunc returns an error done is not called. A nil done is none.
func (c *Conn) SendFunc(ctx context.Context, d Datagram, done func(error)) error {
	return c.queueSend(ctx, &d, nil, done)
}

// SendBuffers is SendFunc for one datagram in several pieces: d.Payload, then bufs.
// No piece at all is EINVAL; empty ones make an empty datagram.
func (c *Conn) SendBuffers(ctx context.Context, d Datagram, bufs [][]byte, done func(error)) error {
	if d.Payload == nil && len(bufs) == 0 && (ctx == nil || ctx.Err() == nil) {
		return c.sendError(&d, c.argumentError())
	}
	return c.queueSend(ctx, &d, bufs, done)
}

// TryQueue is Send that does not wait: when the queue is full it returns
// [ErrQueueFull].
func (c *Conn) TryQueue(d Datagram) error {
	return c.enqueue(send.NeverWait, &d, nil, nil)
}

func (c *Conn) queueSend(ctx context.Context, d *Datagram, bufs [][]byte, done func(error)) error {
	if ctx == nil {
		return c.sendError(d, c.argumentError())
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.enqueue(ctx, d, bufs, done)
}

func (c *Conn) enqueue(ctx context.Context, d *Datagram, bufs [][]byte, done func(error)) error {
	_, err := c.destination(ctx, d)
	if err == nil {
		err = c.send.Enqueue(ctx, d.outgoing(d.Payload), d.control(), bufs, done)
	}
	if err == send.ErrFull {
		return ErrQueueFull
	}
	return c.sendError(d, err)
}

// destination checks where d is to go and how, gives it the connected peer for that if
// there is one, and returns the socket to send on. If another goroutine is about to make it
// destination waits, until ctx ends.
func (c *Conn) destination(ctx context.Context, d *Datagram) (*openSocket, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if !d.Meta.canSend() {
		return nil, syscall.EINVAL
	}
	named := d.Addr.Addr().IsValid() || d.name != nil
	if peer := c.peer.Load(); peer != nil {
		if named {
			return nil, syscall.EISCONN
		}
		d.Addr = *peer
	} else if d.Addr.Addr().Is4In6() {
		d.Addr = unmap(d.Addr)
	}
	s := c.socket()
	if s == nil {
		if !named {
			return nil, syscall.EDESTADDRREQ
		}
		if ctx == send.NeverWait {
			ctx = context.Background() // it does not take long: names were looked up before
		}
		return c.ensure(ctx, d.Addr.Addr().Is4() || d.name != nil)
	}
	if !named && s.info.UDP && !d.Addr.IsValid() {
		return nil, syscall.EDESTADDRREQ
	}
	return s, nil
}

// sendError is opError with the destination of d.
func (c *Conn) sendError(d *Datagram, err error) error {
	if err == nil {
		return nil
	}
	return c.opError("write", d.NetAddr(), err)
}

// Flush waits until the system has answered for every datagram that was queued
// before the call, or until ctx ends. It may be called from inside completion
// functions, which it does not wait for.
func (c *Conn) Flush(ctx context.Context) error {
	if ctx == nil || c.closed.Load() {
		return c.opError("flush", nil, c.argumentError())
	}
	return c.opError("flush", nil, c.send.Flush(ctx, false))
}

// SendQueueSize returns the payload bytes of the datagrams that are queued: accepted,
// and not answered for by the system. libuv calls it uv_udp_get_send_queue_size.
func (c *Conn) SendQueueSize() int {
	_, bytes := c.send.Size()
	return bytes
}

// SendQueueCount returns how many datagrams are queued. libuv calls it
// uv_udp_get_send_queue_count.
func (c *Conn) SendQueueCount() int {
	count, _ := c.send.Size()
	return count
}

func (c *Conn) initQueue() {
	config := send.Config{
		Count: c.config.sendCount, Bytes: c.config.sendBytes,
		Enter: func() { c.enter() }, // before Close has left, or for somebody who entered
		Leave: c.leave,
		Describe: func(d *socket.Outgoing, err error) error {
			return c.sendError(&Datagram{Addr: d.Addr, name: d.Name}, err)
		},
		Failed: c.config.errorHandler,
	}
	if c.config.networkErrors {
		config.Look = c.lookForNetworkErrors
	}
	c.send.Init(config)
}
