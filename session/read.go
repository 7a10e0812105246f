package session

import (
	"context"
	"os"
	"sync"
	"syscall"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
)

// Read waits for a datagram and copies it to b. Of a datagram that is longer
// than b the rest is lost: a bufio.Reader of the default size loses what is
// beyond 4,096 bytes. An empty datagram is 0, nil. After Recv has been called,
// Read returns EALREADY.
//
// When the session has ended, the error of Read wraps that of [Conn.Err].
func (c *Conn) Read(b []byte) (int, error) {
	r := readers.Get().(*reader)
	defer r.free()
	r.buf = b
	err := c.take(context.Background(), r)
	return r.n, c.opError("read", err)
}

// Receive is like Read and returns the datagram with its [datagram.Metadata].
// The payload is lent: see [datagram.Datagram.Release]. It shares memory with
// no other datagram. Receive waits until ctx ends, and then returns ctx's
// error, or until the read deadline.
func (c *Conn) Receive(ctx context.Context) (datagram.Datagram, error) {
	if ctx == nil {
		return datagram.Datagram{}, c.opError("read", errNilContext)
	}
	r := readers.Get().(*reader)
	defer r.free()
	r.lend = true
	err := c.take(ctx, r)
	return r.datagram, c.opError("read", err)
}

// A reader is a call of Read or Receive.
type reader struct {
	buf  []byte // Read's
	n    int
	lend bool // Receive

	datagram datagram.Datagram // Receive's
	served   bool
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func (r *reader) free() {
	*r = reader{}
	readers.Put(r)
}

// serve gives the reader its datagram, which has its own memory if the reader lends it.
func (r *reader) serve(d *datagram.Datagram) {
	r.served = true
	if r.lend {
		r.datagram = *d
		return
	}
	r.n = copy(r.buf, d.Payload)
	d.Release()
}

// take waits for a datagram. Of several readers that wait, one at a time is next.
func (c *Conn) take(ctx context.Context, r *reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cancellable := ctx.Done() != nil
	for {
		var d datagram.Datagram
		err := c.mayRead(ctx)
		switch {
		case r.served:
			return nil
		case err == nil && c.queue.pop(&d):
			r.serve(&d)
			c.shard.delivered.Add(1)
			return nil
		case err == nil:
			err = c.err
		}
		if err != nil {
			if c.next == r {
				c.next = nil
				c.readable.Broadcast() // somebody else is
			}
			return err
		}
		if cancellable {
			cancellable = false
			defer context.AfterFunc(ctx, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.readable.Broadcast()
			})()
		}
		if c.next == nil {
			c.next = r
		}
		c.readable.Wait()
	}
}

// mayRead returns why reading fails, even if there are datagrams. mu must be held.
func (c *Conn) mayRead(ctx context.Context) error {
	switch {
	case c.recv != nil:
		return syscall.EALREADY
	case c.ended:
		return c.err
	case c.readDeadline.passed():
		return os.ErrDeadlineExceeded
	}
	return ctx.Err()
}

// Recv returns the channel of received datagrams, always the same. From the
// first call on, Read and Receive return EALREADY, and read deadlines have no
// effect. Payloads are lent as those of Receive. The channel holds
// Config.Queue datagrams. It is closed when the session ends; what it contains
// remains readable, and Err says why it ended.
func (c *Conn) Recv() <-chan datagram.Datagram {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.recv != nil {
		return c.recv
	}
	c.recv = make(chan datagram.Datagram, c.handle.listener.config.Queue)
	var d datagram.Datagram
	for c.queue.pop(&d) {
		c.recv <- d
		c.shard.delivered.Add(1)
	}
	if c.err != nil {
		close(c.recv)
	}
	c.readable.Broadcast()
	return c.recv
}

// push adds received datagrams, takes over their leases, and returns how many it took: not all if the
// session has ended.
func (c *Conn) push(batch []datagram.Datagram) int {
	if handle := c.handle.listener.config.Handle; handle != nil {
		return c.pass(handle, batch)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0
	}
	c.noteActive()
	c.shard.received.Add(uint64(len(batch)))
	for i := range batch {
		c.enqueue(&batch[i])
	}
	return len(batch)
}

// pass is push with Config.Handle.
func (c *Conn) pass(handle func(*Conn, datagram.Datagram), batch []datagram.Datagram) int {
	for i := range batch {
		if c.Err() != nil {
			return i
		}
		c.noteActive()
		c.shard.received.Add(1)
		c.shard.delivered.Add(1)
		handle(c, batch[i])
	}
	return len(batch)
}

// enqueue passes a datagram to the readers, or drops it if they are too slow. mu must be held.
func (c *Conn) enqueue(d *datagram.Datagram) {
	switch limit := c.handle.listener.config.Queue; {
	case c.recv != nil && len(c.recv) < limit: // only the holder of mu sends
		hook.Detach(d)
		c.recv <- *d
		c.shard.delivered.Add(1)
	case c.recv == nil && c.next != nil:
		if c.next.lend {
			hook.Detach(d)
		}
		c.next.serve(d)
		c.shard.delivered.Add(1)
		c.next = nil
		c.readable.Broadcast() // those that are not next look at the queue, and one becomes it
	case c.recv == nil && c.queue.n < limit:
		c.queue.push(d)
	default:
		d.Release()
		c.shard.dropped.Add(1)
	}
}
