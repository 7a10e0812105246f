package sendqueue

import (
	"errors"
	"syscall"

	"example.com/datagram/internal/socket"
)

// isAlone reports whether the next datagram should be sent by its caller, without the queue, in which
// there is nothing. mu must be held.
func (q *Queue) isAlone() bool {
	return !q.draining && q.blocks.empty() && !q.batch.open && q.shortages.known == nil && q.pace.isSlow(q.batch.lone)
}

// sendAlone sends a datagram on the caller's goroutine and returns the answer. Nothing may be queued.
// It copies the payload only if the system has no room, and then leaves the datagram to a worker. mu
// must be held; sendAlone releases it during the system call.
func (q *Queue) sendAlone(d *socket.Outgoing, control *socket.Control) error {
	size := len(d.Payload)
	q.accept(1, size)
	q.draining = true
	q.config.Enter() // Done must wait for the answer
	defer q.config.Leave()
	q.lone.fill(d, control)
	q.mu.Unlock()
	n, err := q.submit(q.lone.datagram[:], false)
	q.mu.Lock()
	q.lone = lone{}
	q.pace.drained(1)
	q.pace.sent()
	if n == 0 && err == nil || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOBUFS) && q.shortages.mayPause(d) {
		q.blocks.prepend(d, control)
		q.startWorker()
		return nil
	}
	q.count--
	q.bytes -= size
	q.settled++
	q.ledger.answer(1, size, err)
	if q.blocks.empty() {
		q.draining = false
	} else {
		q.startWorker()
	}
	q.wake()
	return err
}

// A lone is a datagram that its sender gives to the socket itself, without a block.
type lone struct {
	datagram [1]socket.Outgoing
	control  socket.Control
}

func (l *lone) fill(d *socket.Outgoing, control *socket.Control) {
	l.datagram[0] = *d
	if control != nil {
		l.control = *control
		l.datagram[0].Control = &l.control
	}
}
