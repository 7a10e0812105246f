package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// controlSize is 0 because golang.org/x/net has no control messages on Windows.
const controlSize = 0

// isTruncated recognises a datagram that did not fit: on Windows that is an
// error, and package net then does not say who sent it.
func isTruncated(_ int, err error) (bool, error) {
	if errors.Is(err, windows.WSAEMSGSIZE) {
		return true, nil
	}
	return false, err
}

func isControlLost(int) bool { return false }

func parseControl([]byte, *Incoming, *zones) {}

// singleReceive is the receive side of a socket. One goroutine at a time uses it.
type singleReceive struct {
	socket   *portable
	asked    bool
	readable func(fd uintptr) bool // bound once, so that a receive allocates nothing
}

func (r *singleReceive) init(p *portable) { r.socket, r.readable = p, r.poll }

// wait waits until the socket is readable.
func (r *singleReceive) wait(b *Batch) error {
	b.Free()
	r.asked = false
	return closed(r.socket.raw.Read(r.readable))
}

// poll makes package net wait once: between two calls it peeks for a datagram.
func (r *singleReceive) poll(uintptr) bool {
	asked := r.asked
	r.asked = true
	return asked
}

// receiveOther is never needed: package net opens nothing but UDP here.
func (p *portable) receiveOther(*Batch) error { return errors.ErrUnsupported }

// An attempt is one WSASendMsg.
type attempt struct{}

func (*attempt) init() {}

// transmit hands one datagram to the system. It lasts as long as that takes:
// there is no sending without waiting.
func (p *portable) transmit(_ *attempt, d *Outgoing) error {
	if d.Name != nil || d.Control != nil {
		return errors.ErrUnsupported
	}
	addr := d.Addr
	if !addr.IsValid() {
		addr = p.peer // package net does not know that the socket is connected
	}
	if !addr.IsValid() {
		return syscall.EDESTADDRREQ
	}
	_, _, err := p.conn.WriteMsgUDPAddrPort(d.Payload, nil, addr)
	return closed(err)
}
