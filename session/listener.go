package session

import (
	"container/list"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"example.com/datagram"
)

// A Listener opens a session for each peer that sends datagrams to its handles,
// and is the [net.Listener] of these sessions.
//
// Multiple goroutines may call methods on a Listener simultaneously. Errors are
// *[net.OpError] values, except those of contexts.
type Listener struct {
	config Config
	addr   net.Addr
	epoch  time.Time // the listener's times are nanoseconds since then
	table  table
	start  chan struct{} // closed when all handles are taken over
	done   chan struct{} // closed when nothing runs any more

	// mu may be held when a shard's or a session's is locked, never the other way around.
	mu      sync.Mutex
	changed sync.Cond // signals news for Accept
	closed  bool
	handles []*handle
	running int   // handles that receive
	failure error // why the last of them does not

	open    sessionHeap // all open sessions
	timer   *time.Timer // of the first of these to check
	armed   bool
	backlog list.List // of *Conn: open sessions that wait for Accept

	opened, idled, sessionsClosed            uint64
	refusedBacklog, refusedMax, refusedAdmit uint64
	refusedClosed                            uint64
}

// Listen takes over receiving from handles: until the listener is closed and
// its last session has ended, their Recv and Serve fail with EALREADY. Sending
// with the handles remains possible.
//
// A handle without a socket is first bound to 0.0.0.0:0. Listen returns
// EALREADY if one of the handles is already receiving, [errors.ErrUnsupported]
// if one is not of IPv4 or IPv6, and EINVAL if there is none or if one is nil
// or given twice. If Listen fails, it has taken no datagram from any handle.
//
// Handles that share a port may all be given to one Listener, such as those of
// a group: datagrams of one peer come to one session, whichever handle receives
// them.
func Listen(config Config, conns ...*datagram.Conn) (*Listener, error) {
	l, err := listen(config, conns)
	if err != nil {
		return nil, listenError(err)
	}
	return l, nil
}

func listenError(err error) error {
	if _, ok := err.(*net.OpError); ok { // the handle's
		return err
	}
	return &net.OpError{Op: "listen", Net: network, Err: err}
}

func listen(config Config, conns []*datagram.Conn) (*Listener, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	if len(conns) == 0 {
		return nil, invalid("no handles")
	}
	given := make(map[*datagram.Conn]bool)
	for i, conn := range conns {
		switch {
		case conn == nil:
			return nil, invalid(fmt.Sprintf("handle %d is nil", i))
		case given[conn]:
			return nil, invalid(fmt.Sprintf("handle %d is given twice", i))
		}
		given[conn] = true
	}
	l := &Listener{
		config: config, epoch: time.Now(), start: make(chan struct{}), done: make(chan struct{}),
		running: len(conns),
	}
	l.changed.L = &l.mu
	l.table.init()
	defer close(l.start) // when all handles are taken over, or stopped
	for i, conn := range conns {
		h := &handle{listener: l, conn: conn}
		if err := h.takeOver(); err != nil {
			l.mu.Lock()
			l.running -= len(conns) - i - 1 // those not tried
			l.mu.Unlock()
			_ = l.Close()
			return nil, err
		}
		l.mu.Lock()
		l.handles = append(l.handles, h)
		l.mu.Unlock()
	}
	l.addr = net.UDPAddrFromAddrPort(l.handles[0].local)
	return l, nil
}

// Accept waits for the next session, in the order of the peers' first
// datagrams. The net.Conn is a *[Conn]. Sessions that have ended are left out.
//
// Accept returns [net.ErrClosed] after Close. If no handle receives any more,
// it returns the remaining sessions, and then the error of the last handle that
// failed, or net.ErrClosed if it was closed or its receiving stopped.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptContext(context.Background())
	if err != nil {
		return nil, err // a nil *Conn would be a non-nil net.Conn
	}
	return c, nil
}

// AcceptContext is like Accept and waits until ctx ends; then it returns ctx's
// error.
func (l *Listener) AcceptContext(ctx context.Context) (*Conn, error) {
	if ctx == nil {
		return nil, l.opError("accept", errNilContext)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.changed.Broadcast()
		})()
	}
	for {
		switch first := l.backlog.Front(); {
		case l.closed:
			return nil, l.opError("accept", net.ErrClosed)
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case first != nil:
			c := l.backlog.Remove(first).(*Conn)
			c.waiting = nil
			return c, nil
		case l.running == 0:
			return nil, l.opError("accept", l.failure)
		}
		l.changed.Wait()
	}
}

// Addr returns the address of the first handle.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close stops accepting. It ends the sessions that wait for Accept; those that
// were accepted go on. Datagrams of new peers are dropped and counted in
// [Stats].RefusedClosed until receiving is given back. Close does not close the
// handles. A second Close returns [net.ErrClosed].
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.opError("close", net.ErrClosed)
	}
	l.closed = true
	for first := l.backlog.Front(); first != nil; first = l.backlog.Front() {
		l.end(first.Value.(*Conn), net.ErrClosed)
	}
	l.changed.Broadcast()
	l.settle()
	return nil
}

// Shutdown closes the listener, if that has not been done, and waits until the
// accepted sessions have ended and the handles can be received from in other
// ways. If ctx ends first, Shutdown closes the sessions and returns ctx's
// error. Inside Admit or Handle, Shutdown blocks until ctx ends.
func (l *Listener) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return l.opError("shutdown", errNilContext)
	}
	_ = l.Close() // or it is closed
	select {
	case <-l.done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running == 0 && len(l.open) == 0 {
		return nil
	}
	for len(l.open) > 0 {
		l.end(l.open[len(l.open)-1], net.ErrClosed)
	}
	return ctx.Err()
}

// refuses reports whether there is no room for one more session, and counts the datagram that asked
// for one. mu must be held.
func (l *Listener) refuses() bool {
	switch {
	case l.closed:
		l.refusedClosed++
	case len(l.open) >= l.config.MaxSessions:
		l.refusedMax++
	case l.backlog.Len() >= l.config.Backlog:
		l.refusedBacklog++
	default:
		return false
	}
	return true
}

// add opens a session and reports whether it did. It did not if there is no room any more, which it
// counts, or if another handle has opened a session with the same peer meanwhile; then existing is
// true.
func (l *Listener) add(c *Conn) (added, existing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.refuses():
		return false, false
	case !c.shard.insert(c):
		return false, true
	}
	l.opened++
	l.watch(c)
	if l.config.Handle == nil {
		c.shard.received.Add(1)
		c.waiting = l.backlog.PushBack(c)
		l.changed.Broadcast()
	}
	return true, false
}

// end ends an open session with err. mu must be held.
func (l *Listener) end(c *Conn, err error) {
	if err == errIdle {
		l.idled++
	} else {
		l.sessionsClosed++
	}
	l.unwatch(c)
	c.shard.remove(c)
	if c.waiting != nil {
		l.backlog.Remove(c.waiting)
		c.waiting = nil
	}
	c.finish(err)
	l.settle()
}

// settle gives receiving back when the listener is closed and no session is open. mu must be held.
func (l *Listener) settle() {
	if !l.closed || len(l.open) > 0 {
		return
	}
	for _, h := range l.handles {
		h.stop()
	}
	l.handles = nil
	if l.running > 0 {
		return
	}
	select {
	case <-l.done:
	default:
		close(l.done)
	}
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Addr: l.addr, Err: err}
}
