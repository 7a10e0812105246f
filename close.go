package datagram

import (
	"context"
	"errors"
	"net"
)

// Active reports whether the handle is receiving or has sends that are
// not completed. libuv calls it uv_is_active.
func (c *Conn) Active() bool {
	return !c.closed.Load() && (c.recv.active() || c.send.Active())
}

// Close closes the handle. It returns when the port is free; it waits for
// system calls in flight, but not for readers, handlers and completion
// functions, and may be called from any of them. What is queued is completed
// with [net.ErrClosed], in order, and what waits in the channel stays readable.
// What waits in the system's receive buffer is lost. Closing again is
// net.ErrClosed. libuv calls it uv_close.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.opError("close", nil, net.ErrClosed)
	}
	c.mu.Lock() // after adopt, or before it
	s := c.socket()
	c.mu.Unlock()
	c.send.End()
	c.recv.close()
	var err error
	if s != nil {
		c.recv.lastDrops(s)
		err = s.Close()
	}
	c.send.Close()
	c.leave()
	return c.opError("close", nil, err)
}

// Shutdown stops accepting datagrams to send, waits until those accepted have
// been sent and their completion functions have returned, closes the handle and
// waits for [Conn.Done]. When ctx ends first it closes at once and returns
// ctx's error. Then functions of the program may still be running: see Done.
// Called from inside a handler or completion function of the handle it waits
// for itself.
//
// Receiving goes on meanwhile, but what handlers send is refused with
// [net.ErrClosed]: a server that wants to answer what it has received stops
// receiving first.
func (c *Conn) Shutdown(ctx context.Context) error {
	if ctx == nil || c.closed.Load() {
		return c.opError("shutdown", nil, c.argumentError())
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

// Done returns a channel that is closed when the handle is closed and none of
// its goroutines, completion functions and handlers runs any more. Waiting for
// it inside one of those waits for itself. It stands for the callback of
// uv_close.
func (c *Conn) Done() <-chan struct{} { return c.done }

// enter counts something that runs for the handle. It fails after Done.
func (c *Conn) enter() bool {
	for {
		n := c.alive.Load()
		if n == 0 {
			return false
		}
		if c.alive.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Conn) leave() {
	if c.alive.Add(-1) == 0 {
		close(c.done)
	}
}
