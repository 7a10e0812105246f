package socket

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// attempts are pooled, so that an idle socket has none.
var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.init()
	return a
}}

// Send makes a system call for each datagram.
func (p *portableSocket) Send(ds []Outgoing, wait bool) (int, error) {
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	for i := range ds {
		if err := p.send(a, &ds[i], wait); err != nil {
			return i, err
		}
		p.counters.SendCalls.Add(1)
	}
	return len(ds), nil
}

func (p *portableSocket) send(a *attempt, d *Outgoing, wait bool) error {
	var between pause
	var r retrial
	for {
		by, err := p.attempt(a, d)
		if err != nil && !errors.Is(err, syscall.EAGAIN) && p.zones.changed(d.zones()) {
			by, err = p.attempt(a, d)
		}
		errno := errnoOf(err)
		again, lost := r.again(p.kernelSocket, a.name, errno, by)
		switch {
		case lost != nil:
			return lost
		case again:
		case wait && errno == syscall.EAGAIN:
			between.wait()
		default:
			return err
		}
	}
}

// errnoOf returns the errno that an error wraps, or 0.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}

func (p *portableSocket) attempt(a *attempt, d *Outgoing) (route, error) {
	p.connection.RLock()
	defer p.connection.RUnlock()
	connected := p.peer.IsValid()
	by := route{connected: connected, unnamed: connected && d.Addr == p.peer, unbound: p.isUnbound()}
	return by, p.transmit(a, d)
}

// A pause is a wait for room in a socket's send buffer where the poller cannot
// be relied on: on macOS kqueue may never report a socket writable whose send
// failed with EAGAIN (go.dev/issue/73919), and Linux reports an unconnected
// AF_UNIX socket writable however full its peer is (go.dev/issue/23604). The zero
// pause is the first.
type pause time.Duration

// In the shortest pause a network sends a few datagrams. In the longest a default
// send buffer does not run empty at 100 Mbit/s, and after Close it ends soon.
const (
	shortestPause = 50 * time.Microsecond
	longestPause  = 5 * time.Millisecond
)

func (p *pause) wait() {
	*p = pause(min(max(2*time.Duration(*p), shortestPause), longestPause))
	time.Sleep(time.Duration(*p))
}
