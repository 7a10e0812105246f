package socket

import (
	"os"
	"sync"
	"syscall"
)

// The system tells what became of a datagram once, by the errno of the next call
// on the socket. That may be a send, which it then does not do
// (sock_alloc_send_pskb of Linux, sosend of BSD). Such an error is not about the
// datagram at hand: the datagram is sent again, and the error kept for the owner
// of the socket.

// pendingErrors are errors that sends have met and PendingErrors has not
// returned yet.
type pendingErrors struct {
	mu   sync.Mutex
	list []error
}

// maxPending bounds how many errors are kept. The system itself keeps one.
const maxPending = 256

// PendingErrors returns what sends have met since the last call.
func (k *kernelSocket) PendingErrors() []error {
	p := &k.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	return list
}

// keep keeps an error for the owner.
func (k *kernelSocket) keep(err error) {
	p := &k.pending
	p.mu.Lock()
	if len(p.list) < maxPending {
		p.list = append(p.list, err)
	}
	p.mu.Unlock()
	k.counters.NetworkErrors.Add(1)
	k.relieve()
}

// A retrial decides whether to send a datagram again, which may have met a
// pending error. The zero retrial is for one that was not sent yet.
type retrial struct {
	tries    int
	suspect  syscall.Errno // of the last attempts, if it may have been pending
	repeated int           // how many of them met it
}

// maxTries bounds how often a datagram is sent again: pending errors may come as
// fast as it is sent.
const maxTries = 64

// maxRepeated is how often in a row a datagram meets an errno before that counts
// as its own. Strangers who forge ICMP messages without end make several pending
// ones follow one another.
const maxRepeated = 4

// A route says how a send found the socket: connected, and the send therefore
// named no peer, or not even bound.
type route struct{ connected, unnamed, unbound bool }

// again is called after each attempt with its errno, and reports whether to make
// one more. If it returns an error, the send fails with that.
func (r *retrial) again(k *kernelSocket, call string, errno syscall.Errno, by route) (bool, error) {
	if r.suspect != 0 && (errno != r.suspect || isAlwaysPending(errno)) {
		for range r.repeated {
			k.keep(os.NewSyscallError(call, r.suspect))
		}
		r.suspect, r.repeated = 0, 0
	}
	if by.unbound {
		k.noteAutobind()
	}
	switch {
	case errno == 0 || r.tries == maxTries:
		return false, nil
	case k.isChange(errno, by):
		changed, err := k.restoreForSend(call, errno)
		if err != nil {
			return false, err
		}
		if changed {
			r.tries = 0 // each change is another
		}
	case k.mayBePending(errno, by) && r.repeated < maxRepeated-1:
		r.suspect = errno
		r.repeated++
	default:
		return false, nil
	}
	r.tries++
	k.counters.Retries.Add(1)
	return true, nil
}

// mayBePending reports whether an errno of a send may have been pending. Network
// errors are told to connected sockets, and to those on which somebody asked for
// them (udp(7), ip(7)).
func (k *kernelSocket) mayBePending(errno syscall.Errno, by route) bool {
	switch {
	case k.limits.NetworkErrors:
		return false // the error queue tells
	case k.family == Other:
		// A peer is gone (unix_dgram_disconnected) or a device was down
		// (packet_notifier).
		return errno == syscall.ECONNRESET || errno == syscall.ENETDOWN
	}
	switch errno {
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.EACCES, syscall.EMSGSIZE:
		// Or it is the datagram's own, and comes again.
	default:
		if !isAlwaysPending(errno) {
			return false
		}
	}
	return by.connected || k.hears()
}

// hears reports whether the system tells of network errors though the socket may
// not be connected.
func (k *kernelSocket) hears() bool {
	return k.hearsErrors || k.shared.Load() && k.hearsNetworkErrors() // somebody has asked for them since
}

// isAlwaysPending reports whether an errno must be about an earlier datagram,
// because none is refused with it (icmp_err_convert, icmpv6_err_convert).
func isAlwaysPending(errno syscall.Errno) bool {
	switch errno {
	case syscall.ECONNREFUSED, syscall.ENOPROTOOPT, syscall.EPROTO, syscall.EOPNOTSUPP:
		return true
	}
	return errno == noNetwork
}
