package main

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

// sequenceSize is the size of the number at the start of a request.
const sequenceSize = 8

// patience is how long a client waits for the next reply before it gives up the missing ones. It is
// long because a busy machine is slow without losing anything.
const patience = 5 * time.Second

// A client sends requests and reads the replies.
type client struct {
	conn *datagram.Conn
	size int
	// flying has an element for each request in flight.
	flying chan struct{}
	// answered tells which requests have been answered.
	answered []bool

	read, wrong uint64 // replies, and those among them that match no request
}

func newClient(conn *datagram.Conn, requests, size, window int) *client {
	return &client{
		conn: conn, size: size,
		flying:   make(chan struct{}, window),
		answered: make([]bool, requests),
	}
}

// run sends all requests, or as many as it can until ctx ends, and returns when each has been answered or given up.
func (c *client) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	sent := make(chan int, 1)
	group.Go(func() error {
		n, err := c.send(ctx)
		sent <- n
		return err
	})
	group.Go(func() error { return c.receive(sent) })
	return group.Wait()
}

// send returns how many requests it has sent.
func (c *client) send(ctx context.Context) (int, error) {
	request := make([]byte, c.size)
	for n := range c.answered {
		select {
		case c.flying <- struct{}{}:
		case <-ctx.Done():
			return n, nil
		}
		binary.BigEndian.PutUint64(request, uint64(n))
		if err := c.conn.Send(context.Background(), datagram.Datagram{Payload: request}); err != nil {
			return n, err
		}
	}
	return len(c.answered), nil
}

// receive waits for the replies to all requests, or to as many as were sent.
func (c *client) receive(sent <-chan int) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	before, idle := uint64(0), time.Duration(0)
	for landed, all := 0, len(c.answered); landed < all; {
		select {
		case all = <-sent:
		case d, ok := <-c.conn.Recv():
			if !ok {
				return errors.Join(errors.New("receiving ended early"), c.conn.Err())
			}
			c.check(d.Payload)
			d.Release()
			landed += c.land(1)
		case <-ticker.C:
			if idle += time.Second; c.read != before {
				before, idle = c.read, 0
			}
			if idle >= patience {
				landed += c.land(len(c.flying))
			}
		}
	}
	return nil
}

// land takes up to n requests out of flight and returns how many. For a reply that comes after its
// request was given up, there is none.
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

// drain reads, once the handle is closed, replies that came after the client gave up.
func (c *client) drain() {
	for d := range c.conn.Recv() {
		c.check(d.Payload)
		d.Release()
	}
}

// check records a reply.
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
