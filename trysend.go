package datagram

import (
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"example.com/datagram/internal/socket"
)

// TrySend hands a datagram to the system on the calling goroutine, without
// queueing or waiting, and returns the size of its payload. It is
// [ErrWouldBlock] when the system has no room or queued datagrams
// are still before it, and ENOBUFS when the network device has none. Destinations are as for [Conn.Send]. On Windows it may last as
// long as one call of WSASendTo. It is uv_udp_try_send.
func (c *Conn) TrySend(d Datagram) (int, error) {
	return c.trySend(&d, nil)
}

// TrySendBuffers is TrySend for one datagram in several pieces: d.Payload, then bufs.
// No piece at all is EINVAL; empty ones make an empty datagram.
func (c *Conn) TrySendBuffers(d Datagram, bufs [][]byte) (int, error) {
	if d.Payload == nil && len(bufs) == 0 {
		return 0, c.sendError(&d, syscall.EINVAL)
	}
	return c.trySend(&d, bufs)
}

func (c *Conn) trySend(d *Datagram, bufs [][]byte) (int, error) {
	s, err := c.destination(d)
	if err != nil {
		return 0, c.sendError(d, err)
	}
	a := attempts.Get().(*attempt)
	defer a.free()
	payload := d.Payload
	if len(bufs) > 0 {
		payload = a.gather(payload, bufs, s.info.UDP)
	}
	a.add(d, payload)
	_, err = c.send.try(s, a.datagrams)
	if err != nil {
		return 0, c.sendError(d, err)
	}
	return len(payload), nil
}

// TrySendBatch is TrySend for many datagrams, with fewer system calls. It
// returns how many of them, from the first on, went, and why the next one did
// not, which is nil if all went. It is uv_udp_try_send2.
func (c *Conn) TrySendBatch(ds []Datagram) (int, error) {
	if c.closed.Load() { // also if there is no datagram to be refused
		return 0, c.opError("write", nil, net.ErrClosed)
	}
	a := attempts.Get().(*attempt)
	defer a.free()
	for sent := 0; ; {
		a.datagrams, a.controls = a.datagrams[:0], a.controls[:0]
		var s *openSocket
		var refused error
		for i := sent; i < len(ds) && len(a.datagrams) < cap(a.datagrams) && refused == nil; i++ {
			d := ds[i]
			if s, refused = c.destination(&d); refused == nil {
				a.add(&d, d.Payload)
			}
		}
		n, err := 0, refused
		if len(a.datagrams) > 0 {
			if s == nil {
				s = c.socket()
			}
			n, err = c.send.try(s, a.datagrams)
			sent += n
			if n == len(a.datagrams) {
				err = refused
			}
		}
		if err != nil {
			return sent, c.sendError(&ds[sent], err)
		}
		if sent == len(ds) {
			return sent, nil
		}
	}
}

// An attempt is what TrySend works on.
type attempt struct {
	datagrams []socket.Outgoing
	controls  []socket.Control
	gathered  []byte
}

// attemptDatagrams is how many datagrams TrySendBatch hands over together.
const attemptDatagrams = 64

var attempts = sync.Pool{New: func() any {
	return &attempt{
		datagrams: make([]socket.Outgoing, 0, attemptDatagrams),
		controls:  make([]socket.Control, 0, attemptDatagrams), // never grows: there are pointers to it
	}
}}

func (a *attempt) add(d *Datagram, payload []byte) {
	out := socket.Outgoing{Payload: payload, Addr: d.Addr, Name: d.name}
	if control := d.control(); control != nil {
		a.controls = append(a.controls, *control)
		out.Control = &a.controls[len(a.controls)-1]
	}
	a.datagrams = append(a.datagrams, out)
}

// gather puts pieces together. Of what no UDP datagram can hold it takes so much
// that the kernel says so.
func (a *attempt) gather(payload []byte, bufs [][]byte, udp bool) []byte {
	limit := math.MaxInt
	if udp {
		limit = tooLong
	}
	gathered := append(a.gathered[:0], payload[:min(len(payload), limit)]...)
	for _, b := range bufs {
		gathered = append(gathered, b[:min(len(b), limit-len(gathered))]...)
	}
	if cap(gathered) <= 2*tooLong { // larger ones are too rare to keep
		a.gathered = gathered
	}
	return gathered
}

func (a *attempt) free() {
	clear(a.datagrams)
	clear(a.controls)
	a.datagrams, a.controls = a.datagrams[:0], a.controls[:0]
	attempts.Put(a)
}

// try hands datagrams over, if none is queued before them. It returns how many
// went and why the next did not.
func (s *sender) try(sock *openSocket, ds []socket.Outgoing) (int, error) {
	s.mu.Lock()
	queued := s.count > 0
	refusing := s.refusing
	s.mu.Unlock()
	switch {
	case refusing:
		return 0, net.ErrClosed
	case queued:
		return 0, ErrWouldBlock
	}
	sent, bytes := 0, 0
	var err error
	for sent < len(ds) && err == nil {
		var n int
		n, err = sock.Send(ds[sent:], false)
		for _, d := range ds[sent : sent+n] {
			bytes += len(d.Payload)
		}
		sent += n
	}
	s.ledger.tried.Add(uint64(sent))
	s.ledger.triedBytes.Add(uint64(bytes))
	switch {
	case err == nil:
	case errors.Is(err, net.ErrClosed): // nothing was handed over
	case errors.Is(err, syscall.EAGAIN):
		return sent, ErrWouldBlock
	default:
		s.ledger.triedErrors.Add(1)
	}
	return sent, err
}

// sendLedger counts what a sender did. What the queue did is guarded by the
// sender's mu, what TrySend did is not: it takes no part in the queue.
type sendLedger struct {
	sent, bytes, errors            uint64
	tried, triedBytes, triedErrors atomic.Uint64
}

func (s *sender) stats(stats *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.ledger
	tried, triedErrors := l.tried.Load(), l.triedErrors.Load()
	stats.Accepted = s.accepted + tried + triedErrors
	stats.Queued = uint64(s.count)
	stats.Sent = l.sent + tried
	stats.SentBytes = l.bytes + l.triedBytes.Load()
	stats.SendErrors = l.errors + triedErrors
}
