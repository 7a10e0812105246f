// Package send is the way of datagrams to the socket: a bounded queue, and
// whoever drains it.
package send

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"syscall"

	"example.com/datagram/internal/queue"
	"example.com/datagram/internal/socket"
)

// Queue accepts datagrams, hands them to the socket and reports what became of them.
//
// Whoever finds work takes the right to do it, of which there are two. The
// holder of the first, draining, hands over what is queued: the worker, a
// goroutine that exists only while there is something to send, or a caller that
// needs room and would otherwise wait. The holder of the second, reporting,
// calls completion functions; that is never done inside a method that the
// program called, nor with draining held, so a completion function can send.
//
// All methods may be called from many goroutines at once.
type Queue struct {
	config Config

	mu       sync.Mutex
	sock     socket.Socket
	segments bool // sock uses segmentation offload
	udp      bool // sock's datagrams are UDP's
	state    state
	draining bool
	// handling says that Serve's handler has one datagram to handle, held that it has
	// more: the worker is not started then, since the queue is drained after them.
	handling, held bool
	guard          guard
	pace           queue.Pace
	// waiting was accepted and is not in the hands of the drainer, answered was
	// answered for and is to be reported.
	waiting   queue.List
	answered  queue.List
	reporting bool
	count     int // datagrams queued: waiting, or in the hands of the drainer
	bytes     int
	accepted  uint64 // ever
	finished  uint64 // of those, in blocks that were answered for as a whole
	ledger    ledger

	// progress is closed, and forgotten, when there is something new for those who
	// wait: for room, or for the queue to be drained.
	progress chan struct{}
	flushing int    // how many wait for the queue to be drained
	work     func() // bound once, so that starting a worker allocates nothing
	report   func()
}

// Config is what a queue is told about its handle.
type Config struct {
	// Count and Bytes bound what is queued.
	Count, Bytes int
	// Enter and Leave enclose whatever runs for the queue: goroutines, and callers that
	// answer for what was queued.
	Enter, Leave func()
	// Describe returns what the program is told when d fails with err.
	Describe func(d *socket.Outgoing, err error) error
	// Failed, if not nil, is told when a datagram without a completion function fails.
	Failed func(error)
	// Look, if not nil, is called when the socket may have network errors to tell of. It must not wait.
	Look func()
}

// state is how far the end of a queue has come.
type state uint8

const (
	open     state = iota
	refusing       // what comes is refused, what is queued is sent
	ending         // the socket is about to be closed
	closed         // what is queued fails
)

// Init prepares the zero Queue.
func (q *Queue) Init(config Config) {
	q.config = config
	q.work, q.report = q.runWorker, q.runReporter
}

// Attach gives the queue the socket to send on, before the first datagram.
func (q *Queue) Attach(sock socket.Socket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sock, q.segments, q.udp = sock, sock.Features().Segment.Active, sock.Info().UDP
}

// NeverWait is the context of those who do not wait for room.
var NeverWait context.Context

// ErrFull is what they get if there is none.
var ErrFull = errors.New("no room")

// Enqueue accepts a datagram, waiting for room until ctx ends or not at all.
// Its payload is d.Payload and then bufs. All but the functions is copied, also
// control, which stands for d.Control.
func (q *Queue) Enqueue(ctx context.Context, d socket.Outgoing, control *socket.Control, bufs [][]byte, done func(error)) error {
	size, err := Total(d.Payload, bufs)
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.makeRoom(ctx, size); err != nil {
		return err
	}
	q.append(d, control, bufs, size, done)
	switch {
	case q.held:
		q.guard.arm(q)
	case q.draining:
	case done == nil && q.pace.IsSlow(q.handling):
		q.drainHere()
		q.pace.Sent()
	default:
		q.startWorker()
	}
	return nil
}

// Total returns the size of a payload in pieces. Pieces that share memory may come to more than an
// int of 32 bits can tell, and than any system sends.
func Total(payload []byte, bufs [][]byte) (int, error) {
	size := len(payload)
	for _, b := range bufs {
		if len(b) > math.MaxInt-size {
			return 0, syscall.EMSGSIZE
		}
		size += len(b)
	}
	return size, nil
}

// makeRoom waits until there is room for size bytes. mu must be held.
func (q *Queue) makeRoom(ctx context.Context, size int) error {
	for {
		switch {
		case q.state != open:
			return net.ErrClosed
		case q.hasRoom(size):
			return nil
		case ctx == NeverWait:
			return ErrFull
		case !q.draining:
			q.drainHere()
		default:
			if err := q.await(ctx); err != nil {
				return err
			}
		}
	}
}

// hasRoom reports whether the bounds allow for size more bytes. mu must be held.
func (q *Queue) hasRoom(size int) bool {
	return q.count == 0 || q.count < q.config.Count && size <= q.config.Bytes-q.bytes
}

// append puts a datagram into the queue. mu must be held.
func (q *Queue) append(d socket.Outgoing, control *socket.Control, bufs [][]byte, size int, done func(error)) {
	kept := size
	if q.udp {
		// The kernel's answer to a datagram that is only a little too long is the same, and
		// there is less to copy.
		kept = min(size, TooLong)
	}
	payload := q.waiting.Append(d, control, kept, queue.Tail{Size: size, Done: done})
	payload = payload[copy(payload, d.Payload):]
	for _, b := range bufs {
		payload = payload[copy(payload, b):]
	}
	q.count++
	q.bytes += size
	q.accepted++
}

// TooLong is more than any UDP header can state (RFC 768).
const TooLong = 65535 + 1

// await waits for progress, with mu held before and after.
func (q *Queue) await(ctx context.Context) error {
	if q.progress == nil {
		q.progress = make(chan struct{})
	}
	progress := q.progress
	q.mu.Unlock()
	defer q.mu.Lock()
	select {
	case <-progress:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake ends all waits. mu must be held.
func (q *Queue) wake() {
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// Flush waits until what is queued now has been answered for, and if reported until
// its completion functions have returned.
func (q *Queue) Flush(ctx context.Context, reported bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	target := q.accepted
	q.flushing++
	defer func() { q.flushing-- }()
	for {
		if q.state >= ending {
			return net.ErrClosed // Close answers for the rest of the queue
		}
		if q.finished >= target && (!reported || !q.reporting && q.answered.Empty()) {
			return nil
		}
		if !q.draining && !q.waiting.Empty() {
			q.drainHere()
			continue
		}
		if err := q.await(ctx); err != nil {
			return err
		}
	}
}

// Refuse makes the queue accept nothing more.
func (q *Queue) Refuse() { q.enterState(refusing) }

// End is Refuse when the socket is about to be closed: nobody waits any more. Close has to follow.
func (q *Queue) End() { q.enterState(ending) }

func (q *Queue) enterState(state state) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = max(q.state, state)
	q.wake()
}

// Close fails what is queued. The socket must be closed. When it returns everything is answered for, if
// not reported.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = closed
	q.guard.stop()
	q.wake()
	if !q.draining && !q.waiting.Empty() {
		// Nothing of this waits: the socket is closed.
		q.drainHere()
	}
	for q.draining { // nor does who else is at it
		_ = q.await(context.Background())
	}
}

// Active reports whether there is something to send or to report.
func (q *Queue) Active() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count > 0 || q.reporting || !q.answered.Empty()
}

// Size returns what is queued, in datagrams and in bytes.
func (q *Queue) Size() (count, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}
