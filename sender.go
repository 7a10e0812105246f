package datagram

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"

	"example.com/datagram/internal/queue"
	"example.com/datagram/internal/socket"
)

// sender queues datagrams and hands them to the socket.
//
// Whoever finds work takes the right to do it, of which there are two. The
// holder of the first, draining, hands over what is queued: the worker, a
// goroutine that exists only while there is something to send, or a caller that needs room
// and would otherwise wait. The holder of the second, reporting, calls
// completion functions; that is never done inside a method that the program
// called, nor with draining held, so a completion function can send.
//
// Life cycle: open -> refusing (Shutdown, Close) -> closed. Once closed, what is
// queued is failed by the holder of draining, and reported as ever.
type sender struct {
	conn *Conn

	mu       sync.Mutex
	refusing bool
	closed   bool
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
	ledger    sendLedger

	// progress is closed, and forgotten, when there is something new for those who
	// wait: for room, or for the queue to be drained.
	progress chan struct{}
	flushing int    // how many wait for the queue to be drained
	work     func() // bound once, so that starting a worker allocates nothing
	report   func()
}

func (s *sender) init(c *Conn) {
	s.conn = c
	s.work, s.report = s.runWorker, s.runReporter
}

// neverWait is the context of those who do not wait for room.
var neverWait context.Context

// enqueue accepts a datagram, waiting for room until ctx ends or not at all.
func (s *sender) enqueue(ctx context.Context, sock *openSocket, d *Datagram, bufs [][]byte, done func(error)) error {
	size := len(d.Payload)
	for _, b := range bufs {
		size += len(b)
	}
	s.mu.Lock()
	for !s.hasRoom(size) || s.refusing {
		if s.refusing {
			s.mu.Unlock()
			return net.ErrClosed
		}
		if ctx == neverWait {
			s.mu.Unlock()
			return ErrQueueFull
		}
		if !s.draining {
			s.drainHere(sock)
			continue
		}
		if err := s.await(ctx); err != nil {
			s.mu.Unlock()
			return err
		}
	}
	s.append(sock, d, bufs, size, done)
	switch {
	case s.held:
		s.guard.arm(s)
	case s.draining:
	case done == nil && s.pace.IsSlow(s.handling):
		s.drainHere(sock)
		s.pace.Sent()
	default:
		s.startWorker()
	}
	s.mu.Unlock()
	return nil
}

// hasRoom reports whether the bounds allow for size more bytes. mu must be held.
func (s *sender) hasRoom(size int) bool {
	config := &s.conn.config
	return s.count == 0 || s.count < config.sendCount && size <= config.sendBytes-s.bytes
}

// append puts a datagram into the queue. mu must be held.
func (s *sender) append(sock *openSocket, d *Datagram, bufs [][]byte, size int, done func(error)) {
	kept := size
	if sock.info.UDP {
		// No UDP datagram is this long. The kernel's answer to one that is only a little too
		// long is the same, and there is less to copy.
		kept = min(size, tooLong)
	}
	out := socket.Outgoing{Addr: d.Addr, Name: d.name}
	payload := s.waiting.Append(out, d.control(), kept, queue.Tail{Size: size, Done: done})
	payload = payload[copy(payload, d.Payload):]
	for _, b := range bufs {
		payload = payload[copy(payload, b):]
	}
	s.count++
	s.bytes += size
	s.accepted++
}

// tooLong is more than any UDP header can state (RFC 768).
const tooLong = 65535 + 1

// await waits for progress, with mu held before and after.
func (s *sender) await(ctx context.Context) error {
	if s.progress == nil {
		s.progress = make(chan struct{})
	}
	progress := s.progress
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-progress:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake ends all waits. mu must be held.
func (s *sender) wake() {
	if s.progress != nil {
		close(s.progress)
		s.progress = nil
	}
}

// startWorker starts a worker that holds draining. mu must be held.
func (s *sender) startWorker() {
	s.draining = true
	s.conn.enter()
	go s.work()
}

// runWorker drains the queue and reports. It ends when there is nothing left to do.
func (s *sender) runWorker() {
	defer s.conn.leave()
	sock := s.conn.socket()
	s.drain(sock, true)
	if s.conn.config.networkErrors {
		s.conn.tellNetworkErrors(sock.NetworkErrors())
	}
	s.mu.Lock()
	mine := !s.reporting && !s.answered.Empty()
	s.reporting = s.reporting || mine
	s.mu.Unlock()
	if mine {
		s.reportAll()
	}
}

// drainHere drains on the caller's goroutine, when nobody else does. mu must be held and is
// not meanwhile.
func (s *sender) drainHere(sock *openSocket) {
	s.draining = true
	s.conn.enter() // Done waits for what this answers for
	defer s.conn.leave()
	s.mu.Unlock()
	defer s.mu.Lock()
	s.drain(sock, false)
}

// drain hands over what is queued, block by block, until nothing is left. It
// is called with draining held and gives it up. When the kernel has no room it
// waits, or if it may not leaves the rest to a worker, as it does with what others
// queue meanwhile.
func (s *sender) drain(sock *openSocket, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.finished
	defer func() { s.pace.Drained(s.finished - before) }()
	mine := s.accepted
	for b := s.waiting.Take(); b != nil; b = s.waiting.Take() {
		if !wait && s.finished >= mine {
			s.waiting.PutFront(b)
			s.startWorker()
			return
		}
		if sock.segments {
			b.Group()
		}
		if !s.handOver(sock, b, wait) {
			s.waiting.PutFront(b)
			s.startWorker()
			return
		}
		s.finish(b, wait && s.waiting.Empty())
	}
	s.draining = false
	s.wake()
}

// finish is called with a block that was answered for. It makes sure that
// somebody reports it; last says that the caller is about to. mu must be held.
func (s *sender) finish(b *queue.Block, last bool) {
	s.finished += uint64(len(b.Datagrams))
	if !b.Report {
		b.Free()
		return
	}
	b.Ungroup()
	s.answered.Put(b)
	if !last {
		s.startReporter()
	}
}

// handOver hands over one block and reports whether all of it was answered
// for: if not the kernel has no room. mu must be held and is not during system calls.
func (s *sender) handOver(sock *openSocket, b *queue.Block, wait bool) bool {
	backOffs := 0 // for the datagram whose turn it is
	for block := false; b.Answered < len(b.Datagrams); {
		if s.closed {
			s.answer(b, len(b.Datagrams), net.ErrClosed)
			break
		}
		s.mu.Unlock()
		n, err := sock.Send(b.Datagrams[b.Answered:], block)
		s.mu.Lock()
		s.answer(b, n, nil)
		block = false
		if n > 0 {
			backOffs = 0
		}
		switch short := errors.Is(err, syscall.ENOBUFS); {
		case err == nil:
		case errors.Is(err, syscall.EAGAIN), short && backOffs < maxBackOffs:
			// It will be a while until there is more: who waits for what there is goes on.
			s.wake()
			if done := b.SplitAnswered(); done != nil {
				s.finish(done, false)
			}
			switch {
			case !wait:
				return false
			case short:
				s.backOff(sock, backOffs)
				backOffs++
			default:
				block = true
			}
			continue
		case errors.Is(err, net.ErrClosed):
			s.answer(b, len(b.Datagrams), err)
		default:
			s.answer(b, 1, err)
			backOffs = 0
		}
		// Wake once for many, not for each.
		if config := &s.conn.config; s.flushing > 0 || s.count <= config.sendCount/2 && s.bytes <= config.sendBytes/2 {
			s.wake()
		}
	}
	return true
}

// answer takes note of the kernel's answer for the next n datagrams of a block.
// mu must be held.
func (s *sender) answer(b *queue.Block, n int, err error) {
	n = min(n, len(b.Tails)-b.Answered)
	bytes := 0
	for i := range b.Tails[b.Answered : b.Answered+n] {
		tail := &b.Tails[b.Answered+i]
		tail.Err = err
		bytes += tail.Size
	}
	b.Answered += n
	s.count -= n
	s.bytes -= bytes
	if err != nil {
		s.ledger.errors += uint64(n)
		b.Report = b.Report || s.conn.config.errorHandler != nil
	} else {
		s.ledger.sent += uint64(n)
		s.ledger.bytes += uint64(bytes)
	}
}

// flush waits until what is queued now has been answered for, and if reported until
// its completion functions have returned.
func (s *sender) flush(ctx context.Context, reported bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	target := s.accepted
	s.flushing++
	defer func() { s.flushing-- }()
	for {
		if s.conn.closed.Load() {
			return net.ErrClosed // Close answers for the rest of the queue
		}
		if s.finished >= target && (!reported || !s.reporting && s.answered.Empty()) {
			return nil
		}
		if !s.draining && !s.waiting.Empty() {
			s.drainHere(s.conn.socket())
			continue
		}
		if err := s.await(ctx); err != nil {
			return err
		}
	}
}

// refuse makes the sender accept nothing more.
func (s *sender) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = true
	s.wake()
}

// close fails what is queued. When it returns everything is answered for, if
// not reported.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing, s.closed = true, true
	s.guard.stop()
	s.wake()
	if !s.draining && !s.waiting.Empty() {
		// Nothing of this waits: the socket is closed.
		s.drainHere(s.conn.socket())
	}
	for s.draining { // nor does who else is at it
		_ = s.await(context.Background())
	}
}

func (s *sender) active() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count > 0 || s.reporting || !s.answered.Empty()
}
