// Package sendqueue is the path of datagrams from the program to the socket: a bounded queue and
// the goroutines that drain it.
//
// # The life of a datagram
//
//   - Enqueue finds room for it, or waits, first come, first served (room.go).
//   - It is copied to the end of the queue's last block (block.go). A block is memory in which
//     payloads are adjacent, so that neighbours can leave as one message.
//   - A worker drains the queue; it exists only while there is something to send. Instead of a
//     worker, a caller that would otherwise wait for one may drain. The drainer takes one block
//     after another, groups datagrams by destination (group.go) and submits them to the socket
//     (drain.go). If the system has no room for a datagram, it is submitted again after a pause
//     (shortage.go). What a handler sends, and what is written between reads, waits for the end of
//     the batch that was received (handlerbatch.go).
//   - The socket answers. The datagram is counted and no longer occupies room. When all datagrams
//     of a block are answered, its memory is freed.
//   - If the datagram has a completion function, the function and the answer go to a list, and are
//     called in order of acceptance (completion.go). If it has none and failed, Config.Failed is
//     called at once.
//
// A datagram that comes alone is submitted by its caller and not copied (lone.go). Try submits
// datagrams without the queue (try.go). Write accepts what a caller that knows package net writes
// (write.go).
package sendqueue

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"example.com/datagram/internal/socket"
)

// A Socket is what a Queue sends on: see [socket.Socket].
type Socket interface {
	Send(ds []socket.Outgoing, wait bool) (int, error)
	Segments() bool
	Counters() *socket.Counters
	Info() socket.Info
}

// Queue accepts datagrams, submits them to the socket and reports the outcome.
//
// Two roles are each held by one goroutine at a time. The drainer (draining) submits what is
// queued. The completer (completing) calls completion functions, never inside a method that the
// program called and never with draining held, so completion functions can send.
//
// All methods may be called from many goroutines at once.
type Queue struct {
	config Config

	mu    sync.Mutex
	sock  Socket
	udp   bool // sock's datagrams are UDP's
	state state

	blocks   blockList // without the one being drained
	count    int       // unanswered datagrams
	bytes    int       // their payloads
	accepted uint64    // in total
	settled  uint64    // length of the answered prefix of those
	ledger   ledger
	room     room

	draining  bool
	lone      lone      // owned by the drainer
	pausing   bool      // the drainer is pausing
	shortages shortages // owned by the drainer
	pace      pace
	batch     handlerBatch

	completing  bool
	completions completions

	// progress is closed and set to nil when there is news for those who wait for anything but
	// room.
	progress chan struct{}
	flushing int // number of Flush calls in progress

	runWorker, runCompleter func() // method values, made once so that starting one does not allocate
}

// Config is what a queue needs to know of its handle.
type Config struct {
	// Count and Bytes limit the queue.
	Count, Bytes int
	// Enter and Leave are called around everything that runs for the queue: goroutines, and callers
	// that drain.
	Enter, Leave func()
	// Describe returns the error for the completion function of a datagram to addr or name that
	// failed with err.
	Describe func(addr netip.AddrPort, name *socket.Name, err error) error
	// Failed, if not nil, is called when a datagram without a completion function fails. It must
	// not wait or call the queue.
	Failed func(addr netip.AddrPort, name *socket.Name, err error)
	// Look, if not nil, is called when the socket may have network errors or pending errors to
	// report. It must not wait.
	Look func()
}

// state is how far the queue has shut down.
type state uint8

const (
	open     state = iota
	refusing       // rejects new datagrams, sends queued ones
	ending         // the socket is about to be closed
	closed         // queued datagrams fail
)

// Init prepares the zero Queue.
func (q *Queue) Init(config Config) {
	q.config = config
	q.runWorker, q.runCompleter = q.work, q.complete
	q.room.line.Init()
	q.pace = pace{start: time.Now(), last: -quick}
}

// Attach sets the socket to send on. It must be called before the first datagram.
func (q *Queue) Attach(sock Socket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sock, q.udp = sock, sock.Info().UDP
}

// await waits for progress. mu must be held; await releases it while waiting.
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

// wake wakes those whose wait may be over. mu must be held.
func (q *Queue) wake() {
	q.admit()
	if q.progress != nil {
		close(q.progress)
		q.progress = nil
	}
}

// Flush waits until everything queued now has been answered and, if completed is true, until its
// completion functions have returned.
func (q *Queue) Flush(ctx context.Context, completed bool) error {
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
		if q.settled >= target && (!completed || !q.completing && q.completions.empty()) {
			return nil
		}
		if !q.draining && !q.blocks.empty() {
			q.drainHere()
			continue
		}
		if err := q.await(ctx); err != nil {
			return err
		}
	}
}

// Refuse makes the queue reject new datagrams.
func (q *Queue) Refuse() { q.enterState(refusing) }

// End is like Refuse and also ends all waits, since the socket is about to be closed. Close must
// follow.
func (q *Queue) End() { q.enterState(ending) }

func (q *Queue) enterState(state state) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = max(q.state, state)
	q.dismiss()
	q.wake()
}

// Close fails what is queued. The socket must be closed already. When Close returns, everything is
// answered, but completion functions may be pending.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.state = closed
	q.batch.guard.stop(q)
	q.dismiss()
	q.wake()
	if !q.draining && !q.blocks.empty() {
		// This cannot block: the socket is closed.
		q.drainHere()
	}
	for q.draining { // nor can another drainer block
		_ = q.await(context.Background())
	}
}

// Active reports whether there are datagrams to send or to complete.
func (q *Queue) Active() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count > 0 || q.completing || !q.completions.empty()
}

// Size returns the size of the queue in datagrams and bytes.
func (q *Queue) Size() (count, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count, q.bytes
}
