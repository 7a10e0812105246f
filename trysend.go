package datagram

import (
	"errors"
	"math"
	"net"
	"sync"
	"syscall"

	"example.com/datagram/internal/send"
	"example.com/datagram/internal/socket"
)

// TrySend hands a datagram to the system on the calling goroutine, without
// queueing or waiting, and returns the size of its payload. It is
// [ErrWouldBlock] when the system has no room or queued datagrams are still
// before it, and ENOBUFS when the network device has none. Destinations are as
// for [Conn.Send]. On Windows it may last as long as one call of WSASendTo.
// libuv calls it uv_udp_try_send.
func (c *Conn) TrySend(d Datagram) (int, error) {
	return c.trySend(&d, nil)
}

// TrySendBuffers is TrySend for one datagram in several pieces: d.Payload, then bufs.
// No piece at all is EINVAL; empty ones make an empty datagram.
func (c *Conn) TrySendBuffers(d Datagram, bufs [][]byte) (int, error) {
	if d.Payload == nil && len(bufs) == 0 {
		return 0, c.sendError(&d, c.argumentError())
	}
	return c.trySend(&d, bufs)
}

func (c *Conn) trySend(d *Datagram, bufs [][]byte) (int, error) {
	s, err := c.destination(send.NeverWait, d)
	if err != nil {
		return 0, c.sendError(d, err)
	}
	a := attempts.Get().(*attempt)
	defer a.free()
	payload := d.Payload
	if len(bufs) > 0 {
		if _, err := send.Total(payload, bufs); err != nil {
			return 0, c.sendError(d, err)
		}
		payload = a.gather(payload, bufs, s.info.UDP)
	}
	a.add(d, payload)
	if _, err := c.send.Try(a.datagrams); err != nil {
		return 0, c.tryError(d, err)
	}
	return len(payload), nil
}

// TrySendBatch is TrySend for many datagrams, with fewer system calls. It
// returns how many of them, from the first on, went, and why the next one did
// not, which is nil if all went. libuv calls it uv_udp_try_send2.
func (c *Conn) TrySendBatch(ds []Datagram) (int, error) {
	if c.closed.Load() { // also if there is no datagram to be refused
		return 0, c.opError("write", nil, net.ErrClosed)
	}
	a := attempts.Get().(*attempt)
	defer a.free()
	for sent := 0; ; {
		a.datagrams, a.controls = a.datagrams[:0], a.controls[:0]
		var refused error
		for i := sent; i < len(ds) && len(a.datagrams) < cap(a.datagrams) && refused == nil; i++ {
			d := ds[i]
			if _, refused = c.destination(send.NeverWait, &d); refused == nil {
				a.add(&d, d.Payload)
			}
		}
		n, err := 0, refused
		if len(a.datagrams) > 0 {
			n, err = c.send.Try(a.datagrams)
			sent += n
			if n == len(a.datagrams) {
				err = refused
			}
		}
		if err != nil {
			return sent, c.tryError(&ds[sent], err)
		}
		if sent == len(ds) {
			return sent, nil
		}
	}
}

// tryError is sendError for those who do not wait.
func (c *Conn) tryError(d *Datagram, err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return ErrWouldBlock
	}
	return c.sendError(d, err)
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
	out := d.outgoing(payload)
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
		limit = send.TooLong
	}
	gathered := append(a.gathered[:0], payload[:min(len(payload), limit)]...)
	for _, b := range bufs {
		gathered = append(gathered, b[:min(len(b), limit-len(gathered))]...)
	}
	if cap(gathered) <= 2*send.TooLong { // larger ones are too rare to keep
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
