package main

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

// sequenceSize is the size of the number that a request begins with.
const sequenceSize = 8

// patience is how long a client waits for the next reply before it takes those
// that are missing for lost. On a busy machine it is only slow.
const patience = 5 * time.Second

// A client sends requests and reads the replies.
type client struct {
	conn *datagram.Conn
	size int
	// flying has an element for each request in flight.
	flying chan struct{}
	// answered tells which requests were.
	answered []bool

	read, wrong uint64 // replies; of those not what was asked for
}

func newClient(conn *datagram.Conn, requests, size, window int) *client {
	return &client{
		conn: conn, size: size,
		flying:   make(chan struct{}, window),
		answered: make([]bool, requests),
	}
}

// run sends all requests and returns when each is answered or lost.
func (c *client) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return c.send(ctx) })
	group.Go(func() error { return c.receive(ctx) })
	return group.Wait()
}

func (c *client) send(ctx context.Context) error {
	request := make([]byte, c.size)
	for i := range c.answered {
		select {
		case c.flying <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		binary.BigEndian.PutUint64(request, uint64(i))
		if err := c.conn.Send(ctx, datagram.Datagram{Payload: request}); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) receive(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	before, idle := uint64(0), time.Duration(0)
	for left := len(c.answered); left > 0; {
		select {
		case d, ok := <-c.conn.Recv():
			if !ok {
				return errors.Join(errors.New("receiving ended early"), c.conn.Err())
			}
			c.check(d.Payload)
			d.Release()
			left -= c.land(1)
		case <-ticker.C:
			if idle += time.Second; c.read != before {
				before, idle = c.read, 0
			}
			if idle >= patience {
				left -= c.land(len(c.flying))
			}
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// land takes up to n requests out of flight and returns how many. A reply that comes after
// its request was given up finds none.
func (c *client) land(n int) int {
	for i := range n {
		select {
		case <-c.flying:
		default:
			return i
		}
	}
	return n
}

// drain reads what came after the client gave up waiting, when the handle is closed.
func (c *client) drain() {
	for d := range c.conn.Recv() {
		c.check(d.Payload)
		d.Release()
	}
}

// check takes note of a reply.
func (c *client) check(reply []byte) {
	c.read++
	if len(reply) != c.size {
		c.wrong++
		return
	}
	i := binary.BigEndian.Uint64(reply)
	if i >= uint64(len(c.answered)) || c.answered[i] {
		c.wrong++ // never asked, or answered twice
		return
	}
	c.answered[i] = true
}
