package datagram

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// A lifetime records whether a handle is closed and whether anything still runs
// for it.
type lifetime struct {
	closed atomic.Bool
	// alive counts what runs for the handle, plus one for the handle itself
	// until Close.
	alive atomic.Int64
	done  chan struct{}
}

func (l *lifetime) init() {
	l.alive.Store(1)
	l.done = make(chan struct{})
}

// enter registers something that runs for the handle. It fails after Done.
func (l *lifetime) enter() bool {
	for {
		n := l.alive.Load()
		if n == 0 {
			return false
		}
		if l.alive.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *lifetime) leave() {
	if l.alive.Add(-1) == 0 {
		close(l.done)
	}
}

// Active reports whether the handle is receiving or has sends that are not
// completed. libuv calls it uv_is_active.
func (c *Conn) Active() bool {
	return !c.closed.Load() && (c.recv.active() || c.send.Active())
}

// Close closes the handle at once. Queued datagrams complete with
// [net.ErrClosed], in order. Datagrams in the channel stay readable. Datagrams
// in the system's receive buffer are lost.
//
// Close returns once the port is free. It waits for system calls in flight, but
// not for readers, handlers or completion functions, and may be called from any
// of them. A second Close returns net.ErrClosed. libuv calls it uv_close.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", nil, net.ErrClosed)
	}
	c.wanted.mu.Lock() // wait for an adopt in progress
	s := c.socket()
	c.wanted.mu.Unlock()
	c.send.End()
	c.recv.close()
	var err error
	if s != nil {
		err = s.Close()
	}
	c.send.Close()
	c.leave()
	return c.opError("close", nil, err)
}

// Shutdown closes the handle gracefully. It stops accepting datagrams to send,
// waits until those accepted have been sent and their completion functions have
// returned, closes the handle and waits for [Conn.Done].
//
// If ctx ends first, Shutdown closes the handle at once and returns ctx's
// error; functions of the program may then still be running (see Done). Inside
// a handler or completion function of the handle, Shutdown blocks until ctx
// ends.
//
// Receiving continues during Shutdown, but sends from handlers fail with
// [net.ErrClosed]. A server that wants to answer what it has received must stop
// receiving first.
func (c *Conn) Shutdown(ctx context.Context) error {
	if err := c.checkContext(ctx); err != nil {
		return c.opError("shutdown", nil, err)
	}
	c.send.Refuse()
	if err := c.send.Flush(ctx, true); err != nil {
		if !errors.Is(err, net.ErrClosed) {
			c.Close()
		}
		return c.opError("shutdown", nil, err)
	}
	if err := c.Close(); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done returns a channel that is closed once the handle is closed and none of
// its goroutines, completion functions and handlers is running. Waiting for it
// inside one of those functions blocks forever. It replaces the callback of
// libuv's uv_close.
func (c *Conn) Done() <-chan struct{} { return c.done }
