package socket

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// attempts are pooled: an idle socket has none.
var attempts = sync.Pool{New: func() any {
	a := new(attempt)
	a.init()
	return a
}}

// Send makes a system call for each datagram.
func (p *portable) Send(ds []Outgoing, wait bool) (int, error) {
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

func (p *portable) send(a *attempt, d *Outgoing, wait bool) error {
	var between pause
	for {
		p.connection.RLock()
		err := p.transmit(a, d)
		p.connection.RUnlock()
		if !wait || !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		between.wait()
	}
}

// A pause is a wait for room in a socket's send buffer where the poller's word
// cannot be relied on: on macOS kqueue may never report a socket writable whose
// send failed with EAGAIN (go.dev/issue/73919), and on Linux an unconnected
// AF_UNIX socket is reported writable however full its peer is
// (go.dev/issue/23604). The zero pause is the first one.
type pause time.Duration

// The shortest is about as long as a network needs for a few datagrams, the
// longest short enough to keep a default send buffer from running empty at 100
// Mbit/s, and to end soon after Close.
const (
	shortestPause = 50 * time.Microsecond
	longestPause  = 5 * time.Millisecond
)

func (p *pause) wait() {
	*p = pause(min(max(2*time.Duration(*p), shortestPause), longestPause))
	time.Sleep(time.Duration(*p))
}
