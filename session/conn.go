package session

import (
	"container/list"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/batch"
)

// network is the name of the network in addresses and errors.
const network = "udp"

var errNilContext = invalid("nil context")

// A Conn is a session: what is exchanged with one peer, from one of this host's
// addresses. As a [net.Conn] it behaves like a connected UDP socket: each Read
// returns one datagram, and each Write sends one.
//
// A session ends when it is closed or idle, and when its handle is closed or
// fails. It then drops what has not been read. If only the handle's receiving
// is stopped ([datagram.Conn.StopRecv]), what was received remains readable,
// then reading returns [net.ErrClosed]; Write goes on working.
//
// Multiple goroutines may call methods on a Conn simultaneously. Errors are
// *[net.OpError] values, except those of Err and of contexts.
type Conn struct {
	handle *handle
	shard  *shard
	flow   flow

	// How the peer is reached: see datagram.Datagram.Reply.
	to      netip.AddrPort
	source  netip.Addr
	ifIndex int

	active atomic.Int64 // time of the last datagram, either way

	// The listener's mu guards these.
	check   int64         // when to check whether the session is idle
	index   int           // in the heap
	waiting *list.Element // in the backlog

	mu       sync.Mutex // guards what follows
	data     any
	ended    bool
	err      error // why reading has ended
	queue    queue
	recv     chan datagram.Datagram // set by the first Recv; from then on, queue is empty
	next     *reader                // the waiting reader that gets the next datagram; the queue is empty
	readable sync.Cond              // signals that next is served or leaves, and what ends waits

	readDeadline, writeDeadline deadline
	blocked                     context.Context // of the writers that wait for room; nil if none has waited
	unblock                     context.CancelCauseFunc
}

// newConn returns the session of a flow. It takes over the flow's first datagram if that is to be read.
func newConn(h *handle, s *shard, f flow, first *datagram.Datagram) *Conn {
	reply := first.Reply(nil)
	c := &Conn{
		handle: h, shard: s, flow: f,
		to: reply.Addr, source: reply.Meta.Local, ifIndex: reply.Meta.IfIndex,
	}
	c.noteActive()
	c.readable.L = &c.mu
	if h.listener.config.Handle == nil {
		c.queue.push(first)
	}
	return c
}

// Peer returns the address of the peer.
func (c *Conn) Peer() netip.AddrPort { return c.flow.remote }

// RemoteAddr returns the address of the peer, a *[net.UDPAddr].
func (c *Conn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.flow.remote) }

// LocalAddr returns the address that the peer sends to, a *[net.UDPAddr]. It is
// the address that the handle is bound to if the handle does not know better.
// See [datagram.MetaLocal].
func (c *Conn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.flow.local) }

// Write sends a datagram to the peer, from the address that the peer sends to
// if that can be a source. Like [datagram.Conn.Send] it copies b into the
// handle's send queue, and waits for room until the write deadline. If the
// system then refuses the datagram, the error goes to the handle's error
// handler.
//
// A datagram that is too long for UDP fails with EMSGSIZE. Close ends waiting
// with [net.ErrClosed].
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.write(b); err != nil {
		return 0, c.opError("write", err)
	}
	return len(b), nil
}

func (c *Conn) write(b []byte) error {
	if err := c.mayWrite(); err != nil {
		return err
	}
	if len(b) > batch.MaxPayload(c.flow.remote.Addr()) {
		return syscall.EMSGSIZE
	}
	d := datagram.Datagram{
		Payload: b, Addr: c.to,
		Meta: datagram.Metadata{Local: c.source, IfIndex: c.ifIndex},
	}
	err := c.handle.conn.TryQueue(d)
	if err == datagram.ErrQueueFull {
		err = c.writeWhenRoom(d)
	}
	if err == nil {
		c.noteActive()
	}
	return err
}

func (c *Conn) mayWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return c.err
	case c.writeDeadline.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// writeWhenRoom waits for room until the write deadline, or the end of the session.
func (c *Conn) writeWhenRoom(d datagram.Datagram) error {
	c.mu.Lock()
	if c.blocked == nil {
		c.blocked, c.unblock = context.WithCancelCause(context.Background())
	}
	ctx := c.blocked
	c.endWrites() // if one was noticed since mayWrite
	c.mu.Unlock()
	err := c.handle.conn.Send(ctx, d)
	if err == context.Canceled {
		return context.Cause(ctx)
	}
	return err
}

// endWrites ends the waits of blocked writers if there is a reason to. mu must be held.
func (c *Conn) endWrites() {
	switch {
	case c.blocked == nil:
		return
	case c.ended:
		c.unblock(c.err)
	case c.writeDeadline.passed():
		c.unblock(os.ErrDeadlineExceeded)
	default:
		return
	}
	c.blocked, c.unblock = nil, nil
}

// SetDeadline sets the deadlines of reading and writing.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opError("set", c.setDeadlines(t, true, true))
}

// SetReadDeadline sets the deadline of Read and Receive; the zero time means
// none. Once it has passed, they fail with [os.ErrDeadlineExceeded], including
// those that wait, and leave the datagrams to later calls. The session of an
// idle peer fails with the same error for good: [Conn.Err] tells them apart.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opError("set", c.setDeadlines(t, true, false))
}

// SetWriteDeadline sets the deadline of Write; the zero time means none. Once
// it has passed, Write fails with [os.ErrDeadlineExceeded], even if it is
// waiting for room.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opError("set", c.setDeadlines(t, false, true))
}

// setDeadlines sets one or both deadlines. mu must be held.
func (c *Conn) setDeadlines(t time.Time, read, write bool) error {
	if c.ended {
		return c.err
	}
	if read {
		c.readDeadline.set(t, c.readDeadlinePassed)
	}
	if write {
		c.writeDeadline.set(t, c.writeDeadlinePassed)
	}
	return nil
}

func (c *Conn) readDeadlinePassed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readable.Broadcast()
}

func (c *Conn) writeDeadlinePassed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endWrites()
}

// Close ends the session. It wakes readers and writers with [net.ErrClosed],
// drops what has not been read, and frees the session's memory. What was
// written is still sent, unless the handle is closed first. The handle stays
// open, and the peer's next datagram opens a new session. A second Close returns
// net.ErrClosed.
func (c *Conn) Close() error {
	l := c.handle.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.hasEnded() {
		return c.opError("close", net.ErrClosed)
	}
	l.end(c, net.ErrClosed)
	return nil
}

func (c *Conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Err returns nil while the session receives, [os.ErrDeadlineExceeded] if it
// was idle, [net.ErrClosed] if it or its handle was closed or the handle's
// receiving stopped, and otherwise the error of the handle. What was received
// before receiving stopped can still be read.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// stop ends reading when all that was received is read.
func (c *Conn) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endReading(net.ErrClosed)
}

// finish ends the session. The listener's mu must be held.
func (c *Conn) finish(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endReading(err)
	c.ended = true
	var d datagram.Datagram
	for c.queue.pop(&d) {
		d.Release()
		c.shard.discarded.Add(1)
	}
	c.endWrites()
	c.readDeadline.stop()
	c.writeDeadline.stop()
}

// endReading wakes readers. mu must be held.
func (c *Conn) endReading(err error) {
	if c.recv != nil && c.err == nil {
		close(c.recv)
	}
	c.err = err
	c.readable.Broadcast()
}

// Data returns the value set by SetData, which the program can use freely. It
// works on closed sessions too.
func (c *Conn) Data() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// SetData sets the value that Data returns.
func (c *Conn) SetData(v any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.data = v
}

// String describes the session in one line: its addresses.
func (c *Conn) String() string {
	return fmt.Sprintf("%s %v -> %v", network, c.flow.local, c.flow.remote)
}

func (c *Conn) opError(op string, err error) error {
	switch err.(type) {
	case nil, *net.OpError: // the handle's
		return err
	}
	if err == context.Canceled || err == context.DeadlineExceeded {
		return err
	}
	return &net.OpError{Op: op, Net: network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
