package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/datagram"
)

// A handle is a Conn whose users keep their own counts.
type handle struct {
	*datagram.Conn
	accepted          atomic.Uint64
	asked, completed  atomic.Uint64 // completion functions
	delivered, broken atomic.Uint64
	users             sync.WaitGroup
}

// end closes the handle in a random way.
func (h *handle) end(r *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), []time.Duration{0, time.Millisecond, patience}[r.IntN(3)])
	defer cancel()
	if r.IntN(2) == 0 || h.Shutdown(ctx) != nil {
		h.Close()
	}
}

// audit adds the ledger of a closed handle to the books, if it agrees with its users' counts.
func (h *handle) audit(b *Books) error {
	h.Close()
	h.users.Wait()
	select {
	case <-h.Done():
	case <-time.After(patience):
		return errors.New("goroutines or functions of a closed handle are still running")
	}
	for d := range h.Recv() { // what is left in the channel
		h.got(d)
	}
	s := h.Stats()
	if err := checkLedger(s); err != nil {
		return err
	}
	if got := h.accepted.Load(); got != s.Accepted {
		return fmt.Errorf("%d datagrams were accepted, and the ledger says\n%v", got, s)
	}
	if got := h.delivered.Load(); got != s.Delivered {
		return fmt.Errorf("%d datagrams were delivered, and the ledger says\n%v", got, s)
	}
	if asked, completed := h.asked.Load(), h.completed.Load(); asked != completed {
		return fmt.Errorf("%d datagrams with a completion function, %d completions", asked, completed)
	}
	if n := h.broken.Load(); n > 0 {
		return fmt.Errorf("%d datagrams differ from what was sent", n)
	}
	b.Handles++
	b.addStats(&s)
	return nil
}

// fill fills in a payload so that its receiver can tell whether it is whole.
func fill(p []byte) {
	for i := range p {
		p[i] = byte(len(p))
	}
}

// got counts and releases a delivered datagram.
func (h *handle) got(d datagram.Datagram) {
	h.count(&d)
	d.Release()
}

func (h *handle) count(d *datagram.Datagram) {
	h.delivered.Add(1)
	if n := len(d.Payload); n > 0 && (d.Payload[0] != byte(n) || d.Payload[n-1] != byte(n)) || d.Partial {
		h.broken.Add(1)
	}
}

// read receives in changing ways until the handle is closed. Once hurry is closed it does not
// pause.
func (h *handle) read(r *rand.Rand, hurry <-chan struct{}) {
	for !errors.Is(h.Err(), net.ErrClosed) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(50))*time.Millisecond)
		switch r.IntN(4) {
		case 0:
			h.readChannel(ctx, 0, hurry)
		case 1:
			h.readChannel(ctx, time.Duration(r.IntN(1000))*time.Microsecond, hurry)
		case 2:
			_ = h.StopRecv()
			_ = h.Serve(ctx, h.got)
		case 3:
			_ = h.StopRecv()
			pause(time.Duration(r.IntN(5))*time.Millisecond, hurry)
		}
		cancel()
	}
}

// readChannel reads the channel until ctx ends, with occasional pauses.
func (h *handle) readChannel(ctx context.Context, rest time.Duration, hurry <-chan struct{}) {
	var kept [32]datagram.Datagram // released late, the last ones never
	for n := 1; ; n++ {
		select {
		case d, ok := <-h.Recv():
			if !ok {
				return
			}
			h.count(&d)
			oldest := &kept[n%len(kept)]
			oldest.Release()
			*oldest = d
		case <-ctx.Done():
			return
		}
		if n%64 == 0 && rest > 0 {
			pause(rest, hurry)
		}
	}
}

func pause(d time.Duration, hurry <-chan struct{}) {
	select {
	case <-time.After(d):
	case <-hurry:
	}
}

// send sends about n datagrams in changing ways, until the handle or enough is closed.
func (h *handle) send(r *rand.Rand, d datagram.Datagram, n int, enough <-chan struct{}) error {
	for n > 0 {
		select {
		case <-enough:
			return nil
		default:
		}
		d.Payload = make([]byte, []int{0, 1, 64, 512, 1200, 1472, 1472, 9000}[r.IntN(8)])
		fill(d.Payload)
		burst := 1 + r.IntN(min(n, 5000))
		if len(d.Payload) > 1472 {
			burst = 1 + burst/50
		}
		n -= burst
		var err error
		switch way := r.IntN(5); way {
		case 0, 1:
			err = h.queue(burst, func() error { return h.Send(context.Background(), d) })
		case 2:
			err = h.queue(burst, func() error {
				err := h.SendFunc(context.Background(), d, func(error) { h.completed.Add(1) })
				if err == nil {
					h.asked.Add(1)
				}
				return err
			})
		case 3:
			err = h.queue(burst, func() error { return h.TryQueue(d) })
		case 4:
			err = h.try(burst, d)
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.IntN(8) == 0 {
			time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
		}
	}
	return nil
}

// queue sends a burst one by one, and waits for room if send does not.
func (h *handle) queue(burst int, send func() error) error {
	for range burst {
		err := send()
		if errors.Is(err, datagram.ErrQueueFull) {
			if err = h.Flush(context.Background()); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		h.accepted.Add(1)
	}
	return nil
}

// try sends a burst with TrySendBatch.
func (h *handle) try(burst int, d datagram.Datagram) error {
	batch := make([]datagram.Datagram, min(burst, 64))
	for i := range batch {
		batch[i] = d
	}
	for ; burst > 0; burst -= len(batch) {
		n, err := h.TrySendBatch(batch)
		h.accepted.Add(uint64(n))
		errno := syscall.Errno(0)
		switch {
		case err == nil:
		case errors.Is(err, datagram.ErrWouldBlock):
			if err := h.Flush(context.Background()); err != nil {
				return err
			}
		case errors.As(err, &errno) && isNetwork(errno):
			h.accepted.Add(1) // submitted, and refused
		default:
			return err
		}
	}
	return nil
}

// isNetwork reports whether an errno may result from a closed receiver or an interface that is
// down.
func isNetwork(errno syscall.Errno) bool {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENOBUFS:
		return true
	}
	return false
}
