package datagram

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// isTerminal says whether an error of receiving means that there will be no
// more: the descriptor is not, or not any more, what it was. Everything else
// passes (recvmsg(2), and what ICMP and the network device report).
func isTerminal(err error) bool {
	for _, errno := range []syscall.Errno{
		syscall.EBADF, syscall.ENOTSOCK, syscall.EFAULT, syscall.EINVAL, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.ENOTCONN,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.Is(err, net.ErrClosed)
}

// How many errors in a row are taken for bad luck, and how long to wait after
// more, so that a socket that reports nothing else does not keep a processor busy.
const (
	patience = 16
	minPause = time.Millisecond
	maxPause = 100 * time.Millisecond
)

// pause waits after too many errors in a row. mu must be held and is not while
// waiting.
func (r *receiver) pause() {
	if r.intake.failures <= patience {
		return
	}
	timer := time.NewTimer(min(minPause<<min(r.intake.failures-patience, 10), maxPause))
	defer timer.Stop()
	r.outside(func() {
		select {
		case <-timer.C:
		case <-r.kick:
		}
	})
}
