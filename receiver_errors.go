package datagram

import (
	"errors"
	"net"
	"syscall"
	"time"

	"example.com/datagram/internal/socket"
)

// failed handles an error of the socket. mu must be held; failed releases it while waiting.
func (r *receiver) failed(err error) {
	list := socket.NetworkErrors(nil)
	switch {
	case errors.As(err, &list):
		r.config.reporter.networkErrors(list)
		r.refuse(err)
	case errors.Is(err, socket.ErrInterrupted), r.state == closed:
		// The state determines what happens next.
	case isLost(err):
		r.loseSocket(err)
	case isTerminal(err):
		r.end(stopped, r.config.describe(err))
	default:
		if r.intake.batch.Waited { // an event, not the state of the socket
			r.intake.failures = 0
		}
		r.intake.failures++
		r.config.reporter.receiveError(err)
		r.refuse(err)
		r.pause()
	}
}

// lost ends receiving because the system has permanently taken away the socket's port or peer.
func (r *receiver) lost(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loseSocket(err)
}

// loseSocket is lost with mu held.
func (r *receiver) loseSocket(err error) {
	r.config.forgetPeer()
	r.strangers = strangerFilter{connects: r.strangers.connects + 1}
	r.end(stopped, r.config.describe(err))
}

func isLost(err error) bool {
	lost := (*socket.LostError)(nil)
	return errors.As(err, &lost)
}

// isTerminal reports whether a receive error is final: the descriptor is not, or no longer, a
// usable socket. All other errors are temporary. That holds above all for the errors of ICMP
// messages, which anybody can forge, on sockets with IP_RECVERR set by the program or a former
// owner: EOPNOTSUPP and EPROTO are among them (icmp_err_convert and icmpv6_err_convert of Linux).
func isTerminal(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EBADF, syscall.ENOTSOCK, syscall.EFAULT, syscall.EINVAL, syscall.ENOSYS, syscall.ENOTCONN,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.Is(err, net.ErrClosed)
}

// patience is how many errors in a row are tolerated without a pause. Longer runs are slowed down,
// so that a socket that only fails does not keep a processor busy.
const (
	patience = 16
	minPause = 2 * time.Millisecond
	maxPause = 100 * time.Millisecond
)

// pause waits after too many errors in a row, after every second one: an error that arrives during a pause
// must not hide the datagrams that do. mu must be held; pause releases it while waiting.
func (r *receiver) pause() {
	late := r.intake.failures - patience
	if late <= 0 || late%2 == 0 {
		return
	}
	timer := time.NewTimer(min(minPause<<min(late, 10), maxPause))
	defer timer.Stop()
	r.mu.Unlock()
	defer r.mu.Lock()
	select {
	case <-timer.C:
	case <-r.wakeup:
	}
}
