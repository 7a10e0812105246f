package send

import (
	"errors"
	"net"
	"syscall"

	"example.com/datagram/internal/socket"
)

// Try hands datagrams to the socket, past the queue, if none is queued before them. It returns how many
// went and why the next did not: EAGAIN if that may help.
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
		n, err = q.hand(ds[sent:], false)
		for _, d := range ds[sent : sent+n] {
			bytes += len(d.Payload)
		}
		sent += n
	}
	q.ledger.tried.Add(uint64(sent))
	q.ledger.triedBytes.Add(uint64(bytes))
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.EAGAIN) {
		q.ledger.triedErrors.Add(1) // else nothing was handed over
	}
	return sent, err
}
