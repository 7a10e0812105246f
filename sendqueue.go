package datagram

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"example.com/datagram/internal/sendqueue"
	"example.com/datagram/internal/socket"
)

// Send queues a datagram. It copies the payload, so the caller may reuse the
// memory when Send returns. If the queue is full (see [WithSendQueue]), Send
// waits for room until ctx ends, and then returns ctx's error. If ctx has
// already ended, Send accepts nothing. Waiting senders are served in order of
// arrival.
//
// Send does not wait until the datagram is sent: [Conn.Close] drops what is
// queued, [Conn.Flush] and [Conn.Shutdown] wait for it. Settings that change
// meanwhile, for example by [Conn.SetTTL], apply to it; [Metadata] belongs to
// one datagram. If the system refuses the datagram, the error goes to the
// function set by [WithErrorHandler] and is counted in [Stats]; to learn the
// outcome of one datagram, use [Conn.SendFunc]. Datagrams to one destination
// leave in the order in which they were accepted.
//
// If the system reports ENOBUFS, it has no room for the datagram, for instance
// in a device queue. Send retries such a datagram, with pauses, for about 13
// milliseconds before it fails; those behind it to the same destination wait.
// If it fails, each of those is tried only once, until one is sent. Datagrams
// to other destinations overtake them if they are among the next thousand
// datagrams and the next mebibyte; later ones wait too.
//
// A handle without a socket is first bound to the wildcard address of the
// destination's family. On a connected handle, a datagram with a destination
// fails with EISCONN; on an unconnected UDP handle, one without fails with
// EDESTADDRREQ. Port 0, which no socket has, fails with EINVAL. libuv calls it
// uv_udp_send.
func (c *Conn) Send(ctx context.Context, d Datagram) error {
	return c.queueSend(ctx, &d, nil, nil)
}

// SendFunc is like Send, and calls done with the outcome: nil or this
// datagram's error once the system has answered, or [net.ErrClosed] if the
// handle was closed before that. It calls done exactly once, or never if
// SendFunc itself returns an error. A nil done is ignored.
//
// A goroutine of the handle calls completion functions one at a time, in queue
// order, after the queue has shrunk, and never before SendFunc returns. They
// may call every method of the handle. If one of them blocks, the others wait.
//
// A pending completion takes up to 128 bytes, besides the function itself. It
// does not count as queued, so that completion functions can send, and nothing
// else limits how many are pending: if functions are slower than sends, memory
// grows. A program in which that can happen, for example because strangers can
// cause it to send, must count its outstanding completions and stop sending at
// a limit, or wait for each.
func (c *Conn) SendFunc(ctx context.Context, d Datagram, done func(error)) error {
	return c.queueSend(ctx, &d, nil, done)
}

// SendBuffers is like SendFunc, and gathers one datagram from several pieces:
// d.Payload, followed by bufs. Without any piece it returns EINVAL; empty
// pieces make an empty datagram.
func (c *Conn) SendBuffers(ctx context.Context, d Datagram, bufs [][]byte, done func(error)) error {
	if d.Payload == nil && len(bufs) == 0 && (ctx == nil || ctx.Err() == nil) {
		return c.sendError(&d, c.argumentError(noPieces))
	}
	return c.queueSend(ctx, &d, bufs, done)
}

// TryQueue is like Send but never waits: if the queue is full, it returns
// [ErrQueueFull].
func (c *Conn) TryQueue(d Datagram) error {
	return c.enqueue(sendqueue.NeverWait, &d, nil, nil)
}

// SendBatch is like Send for many datagrams. It queues them in order, without
// others in between as long as there is room, and waits for room until ctx
// ends. It copies payloads, so the caller may reuse ds and its payloads when
// SendBatch returns.
//
// SendBatch returns how many datagrams were accepted. If that is fewer than
// all, the error says why the next one was not. It stops at a datagram that
// Send would reject at once, for example one without a destination. An empty ds
// is no error.
func (c *Conn) SendBatch(ctx context.Context, ds []Datagram) (int, error) {
	if ctx != nil && ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err := c.checkContext(ctx); err != nil || len(ds) == 0 {
		return 0, c.opError("write", nil, err)
	}
	if _, _, err := c.destination(ctx, &ds[0]); err != nil { // creates the socket, or waits for its creator
		return 0, c.sendError(&ds[0], err)
	}
	source := batchSources.Get().(*batchSource)
	source.conn, source.datagrams = c, ds
	n, err := c.send.EnqueueAll(ctx, len(ds), source)
	*source = batchSource{}
	batchSources.Put(source)
	if err != nil {
		return n, c.sendError(&ds[n], err)
	}
	return n, nil
}

// A batchSource passes the datagrams of SendBatch to the send queue.
type batchSource struct {
	conn      *Conn
	datagrams []Datagram
	outgoing  socket.Outgoing
	meta      Metadata
}

var batchSources = sync.Pool{New: func() any { return new(batchSource) }}

// Next returns datagram i as Send would queue it now. The socket must exist.
func (s *batchSource) Next(i int) (*socket.Outgoing, *socket.Control, error) {
	d := &s.datagrams[i]
	to, _, err := s.conn.destination(sendqueue.NeverWait, d)
	if err != nil {
		return nil, nil, err
	}
	s.outgoing = socket.Outgoing{Payload: d.Payload, Addr: to, Name: d.name}
	s.meta = d.Meta
	return &s.outgoing, s.meta.control(), nil
}

func (c *Conn) queueSend(ctx context.Context, d *Datagram, bufs [][]byte, done func(error)) error {
	if ctx == nil {
		return c.sendError(d, c.checkContext(ctx))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.enqueue(ctx, d, bufs, done)
}

func (c *Conn) enqueue(ctx context.Context, d *Datagram, bufs [][]byte, done func(error)) error {
	to, _, err := c.destination(ctx, d)
	d.Addr = to
	if err == nil {
		err = c.send.Enqueue(ctx, &socket.Outgoing{Payload: d.Payload, Addr: to, Name: d.name}, d.Meta.control(), bufs, done)
	}
	if err == sendqueue.ErrFull {
		return ErrQueueFull
	}
	return c.sendError(d, err)
}

// noPieces is what is wrong with a datagram without any piece.
const noPieces = "no payload and no buffers"

// errPortZero is returned for the port that no socket has, but that a stranger may claim (RFC 768).
var errPortZero = invalid("port 0")

// destination validates d's address and metadata, and returns where to send d,
// which is the peer of a connected handle, and the socket to send on. If another
// goroutine is creating the socket, it waits until ctx ends.
func (c *Conn) destination(ctx context.Context, d *Datagram) (to netip.AddrPort, s *openSocket, err error) {
	to = d.Addr
	if c.closed.Load() {
		return to, nil, net.ErrClosed
	}
	if err := d.Meta.check(); err != nil {
		return to, nil, err
	}
	named := to.Addr().IsValid() || d.name != nil
	if peer := c.peer.Load(); peer != nil {
		if named {
			return to, nil, syscall.EISCONN
		}
		to = *peer
	} else if to.Addr().Is4In6() {
		to = unmap(to)
	}
	s = c.socket()
	if s != nil && s.info.Family == socket.IPv6 && to.Addr() == netip.IPv4Unspecified() {
		to = netip.AddrPortFrom(netip.IPv6Unspecified(), to.Port()) // also this host, as for package net
	}
	if to.IsValid() && to.Port() == 0 && (s == nil || s.info.UDP) {
		return to, nil, errPortZero
	}
	if s == nil {
		if !named {
			return to, nil, syscall.EDESTADDRREQ
		}
		if ctx == sendqueue.NeverWait {
			ctx = context.Background() // quick: nobody looks up names while holding steps
		}
		s, err = c.ensure(ctx, to.Addr().Is4() || d.name != nil)
		return to, s, err
	}
	if !named && s.info.UDP && !to.IsValid() {
		return to, nil, syscall.EDESTADDRREQ
	}
	return to, s, nil
}

// sendError is opError with the destination of d.
func (c *Conn) sendError(d *Datagram, err error) error {
	if err == nil {
		return nil
	}
	return c.opError("write", d.NetAddr(), err)
}

// Flush waits until the system has answered for every datagram queued before
// the call, or until ctx ends. Completion functions may call it; it does not
// wait for them.
func (c *Conn) Flush(ctx context.Context) error {
	if err := c.checkContext(ctx); err != nil {
		return c.opError("flush", nil, err)
	}
	return c.opError("flush", nil, c.send.Flush(ctx, false))
}

// SendQueueSize returns the number of payload bytes in the send queue: those of
// datagrams that were accepted and that the system has not yet answered for.
// libuv calls it uv_udp_get_send_queue_size.
func (c *Conn) SendQueueSize() int {
	_, bytes := c.send.Size()
	return bytes
}

// SendQueueCount returns the number of datagrams in the send queue. libuv calls
// it uv_udp_get_send_queue_count.
func (c *Conn) SendQueueCount() int {
	count, _ := c.send.Size()
	return count
}

func (c *Conn) initQueue() {
	c.send.Init(sendqueue.Config{
		Count: c.config.sendCount, Bytes: c.config.sendBytes,
		Enter: func() { c.enter() }, // cannot fail: Close has not left yet, or the caller has entered
		Leave: c.leave,
		Describe: func(addr netip.AddrPort, name *socket.Name, err error) error {
			return c.sendError(&Datagram{Addr: addr, name: name}, err)
		},
		Failed: c.reporter.failedSend,
		Look:   c.reportMet,
	})
}
