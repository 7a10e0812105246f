package sendqueue

import (
	"errors"
	"net"
	"syscall"

	"example.com/datagram/internal/socket"
)

// Try submits datagrams directly to the socket, if none is queued ahead of them. It returns how
// many were sent, and why the next one was not: EAGAIN if a later attempt may succeed.
func (q *Queue) Try(ds []socket.Outgoing) (int, error) {
	q.mu.Lock()
	queued, refused := q.count > 0, q.state != open
	q.mu.Unlock()
	switch {
	case refused:
		return 0, net.ErrClosed
	case queued:
		return 0, syscall.EAGAIN
	}
	sent, bytes := 0, 0
	var err error
	for sent < len(ds) && err == nil {
		var n int
		n, err = q.submit(ds[sent:], false)
		for _, d := range ds[sent : sent+n] {
			bytes += len(d.Payload)
		}
		sent += n
	}
	q.ledger.tried.Add(uint64(sent))
	q.ledger.triedBytes.Add(uint64(bytes))
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EAGAIN) {
		q.ledger.triedErrors.Add(1) // otherwise nothing was submitted
	}
	return sent, err
}
