package datagram

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"example.com/datagram/internal/sendqueue"
	"example.com/datagram/internal/socket"
)

// TrySend passes a datagram to the system on the calling goroutine, without
// queueing or waiting, and returns the size of its payload. It returns
// [ErrWouldBlock] if the system has no room or if datagrams are still queued
// ahead, and ENOBUFS if the network device has no room. Destinations are as for
// [Conn.Send]. On Windows it may take as long as one call of WSASendTo. libuv
// calls it uv_udp_try_send.
func (c *Conn) TrySend(d Datagram) (int, error) {
	return c.trySend(&d, nil)
}

// TrySendBuffers is like TrySend, and gathers one datagram from several pieces:
// d.Payload, followed by bufs. Without any piece it returns EINVAL; empty
// pieces make an empty datagram.
func (c *Conn) TrySendBuffers(d Datagram, bufs [][]byte) (int, error) {
	if d.Payload == nil && len(bufs) == 0 {
		return 0, c.sendError(&d, c.argumentError(noPieces))
	}
	return c.trySend(&d, bufs)
}

func (c *Conn) trySend(d *Datagram, bufs [][]byte) (int, error) {
	to, s, err := c.destination(sendqueue.NeverWait, d)
	d.Addr = to
	if err != nil {
		return 0, c.sendError(d, err)
	}
	a := attempts.Get().(*attempt)
	defer a.free()
	payload := d.Payload
	if len(bufs) > 0 {
		if _, err := sendqueue.Total(payload, bufs); err != nil {
			return 0, c.sendError(d, err)
		}
		payload = a.gather(payload, bufs, s.info.UDP)
	}
	a.add(d, to, payload)
	if _, err := c.send.Try(a.datagrams); err != nil {
		return 0, c.tryError(d, err)
	}
	return len(payload), nil
}

// TrySendBatch is like TrySend for many datagrams, with fewer system calls. It
// sends them in order and returns how many were sent. If that is fewer than
// all, the error says why the next one was not. libuv calls it
// uv_udp_try_send2.
func (c *Conn) TrySendBatch(ds []Datagram) (int, error) {
	if c.closed.Load() { // checked here for an empty ds
		return 0, c.opError("write", nil, net.ErrClosed)
	}
	a := attempts.Get().(*attempt)
	defer a.free()
	for sent := 0; ; {
		a.clear()
		var refused error
		for i := sent; i < len(ds) && len(a.datagrams) < cap(a.datagrams) && refused == nil; i++ {
			d := &ds[i]
			var to netip.AddrPort
			if to, _, refused = c.destination(sendqueue.NeverWait, d); refused == nil {
				a.add(d, to, d.Payload)
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

// tryError is sendError for methods that do not wait.
func (c *Conn) tryError(d *Datagram, err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return ErrWouldBlock
	}
	return c.sendError(d, err)
}

// An attempt is the scratch memory of TrySend.
type attempt struct {
	datagrams []socket.Outgoing
	metas     []Metadata
	gathered  []byte
}

// attemptDatagrams is how many datagrams TrySendBatch submits at a time: enough for full messages of
// segments (batch.MaxSegments), since the rest of an attempt makes a short one.
const attemptDatagrams = 128

var attempts = sync.Pool{New: func() any {
	return &attempt{
		datagrams: make([]socket.Outgoing, 0, attemptDatagrams),
		metas:     make([]Metadata, 0, attemptDatagrams), // must not grow: datagrams point into it
	}
}}

func (a *attempt) add(d *Datagram, to netip.AddrPort, payload []byte) {
	a.datagrams = append(a.datagrams, socket.Outgoing{Payload: payload, Addr: to, Name: d.name})
	if d.Meta.asks() {
		a.metas = append(a.metas, d.Meta)
		a.datagrams[len(a.datagrams)-1].Control = a.metas[len(a.metas)-1].control()
	}
}

// gather joins the pieces of a payload. Of a payload that no UDP datagram can
// hold, it copies just enough for the kernel to refuse it.
func (a *attempt) gather(payload []byte, bufs [][]byte, udp bool) []byte {
	limit := math.MaxInt
	if udp {
		limit = sendqueue.TooLong
	}
	gathered := append(a.gathered[:0], payload[:min(len(payload), limit)]...)
	for _, b := range bufs {
		gathered = append(gathered, b[:min(len(b), limit-len(gathered))]...)
	}
	if cap(gathered) <= 2*sendqueue.TooLong { // larger ones are too rare to keep
		a.gathered = gathered
	}
	return gathered
}

// clear drops all references to what was sent.
func (a *attempt) clear() {
	clear(a.datagrams)
	clear(a.metas)
	a.datagrams, a.metas = a.datagrams[:0], a.metas[:0]
}

func (a *attempt) free() {
	a.clear()
	attempts.Put(a)
}
