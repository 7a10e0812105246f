package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

// A load sends requests to an echo and receives the answers: a new request for each answer, or requests at
// a constant rate.
type load struct {
	conn    *datagram.Conn
	size    int
	rate    float64 // per second; 0 means a new request for each answer
	flow    uint64
	tracker *tracker
}

// newLoad returns a load of up to inFlight requests.
func newLoad(conn *datagram.Conn, size, inFlight int, timeout time.Duration) *load {
	return &load{conn: conn, size: size, flow: rand.Uint64(), tracker: newTracker(inFlight, timeout)}
}

// newPacedLoad returns a load of so many requests per second.
func newPacedLoad(conn *datagram.Conn, size int, rate float64, timeout time.Duration) *load {
	l := newLoad(conn, size, int(2*rate*timeout.Seconds())+2*maxBatch, timeout)
	l.rate = rate
	return l
}

// run sends until ctx ends. After its deadline it waits until every request has been answered or lost.
func (l *load) run(ctx context.Context) error {
	group, sending := errgroup.WithContext(ctx)
	receiving, stop := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error { return l.receive(receiving, sending) })
	group.Go(func() error {
		defer stop()
		err := l.start(sending)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) { // not a signal
			l.settle()
		}
		return err
	})
	if err := group.Wait(); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// receive handles answers until ctx ends. Unless there is a rate it sends a request for each.
func (l *load) receive(ctx, sending context.Context) error {
	out := newBatch(l.size)
	var free []int
	return l.conn.ServeBatch(ctx, func(answers []datagram.Datagram) {
		now := time.Now()
		free = free[:0]
		for _, d := range answers {
			if p, ok := parseProbe(d.Payload); ok && p.flow == l.flow {
				if slot, _, first := l.tracker.answer(p.number, now); first {
					free = append(free, slot)
				}
			}
			d.Release()
		}
		if l.rate == 0 {
			_ = l.send(sending, out, free) // its errors are those of ctx and of a closed handle
		}
	})
}

// start sends requests until ctx ends: at the given rate, or one in each slot, and later one instead of each
// that was lost.
func (l *load) start(ctx context.Context) error {
	out := newBatch(l.size)
	slots := make([]int, len(l.tracker.slots))
	for i := range slots {
		slots[i] = i
	}
	if l.rate > 0 {
		next := 0
		return atRate(ctx, l.rate, func(n int) error {
			if next+n > len(slots) {
				next = 0 // a few slots are left out
			}
			next += n
			return l.send(ctx, out, slots[next-n:next])
		})
	}
	if err := l.send(ctx, out, slots); err != nil {
		return err
	}
	ticker := time.NewTicker(l.tracker.timeout / 4)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			free, _ := l.tracker.expire(now)
			if err := l.send(ctx, out, free); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits until no request waits for an answer any more, and gives up the rest after the time-out.
func (l *load) settle() {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for now := range ticker.C {
		l.tracker.expire(now)
		if c, _ := l.tracker.snapshot(); c.Waiting == 0 {
			return
		}
	}
}

// send sends a request in each of the slots.
func (l *load) send(ctx context.Context, out []datagram.Datagram, slots []int) error {
	for len(slots) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(len(slots), len(out))
		now := time.Now()
		for i, slot := range slots[:n] {
			probe{probeEcho, l.flow, l.tracker.send(slot, now)}.put(out[i].Payload)
		}
		if _, err := l.conn.SendBatch(context.WithoutCancel(ctx), out[:n]); err != nil {
			return err
		}
		slots = slots[n:]
	}
	return nil
}

// maxBatch is how many datagrams are queued together.
const maxBatch = 64

// newBatch returns datagrams to the peer, with room for their payloads. SendBatch copies them, so they can
// be used again.
func newBatch(size int) []datagram.Datagram {
	batch := make([]datagram.Datagram, maxBatch)
	for i := range batch {
		batch[i].Payload = make([]byte, size)
	}
	return batch
}

// atRate calls send with numbers that add up to so many per second, each at most maxBatch.
func atRate(ctx context.Context, rate float64, send func(n int) error) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for begin, sent := time.Now(), 0; ; {
		due := int(time.Since(begin).Seconds()*rate) - sent
		for due > 0 {
			n := min(due, maxBatch)
			if err := send(n); err != nil {
				return err
			}
			due -= n
			sent += n
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
