package socket

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// isTruncated recognises a datagram that did not fit: on Windows that is an
// error, and package net then does not say who sent it.
func isTruncated(_ int, err error) (bool, error) {
	if errors.Is(err, windows.WSAEMSGSIZE) {
		return true, nil
	}
	return false, err
}

func isControlLost(int) bool { return false }

// singleReceive is the receive side of a socket. One goroutine at a time uses it.
type singleReceive struct {
	socket   *portableSocket
	asked    bool
	waited   bool                  // false: package net does not tell
	readable func(fd uintptr) bool // bound once, so that a receive allocates nothing
}

func (r *singleReceive) init(p *portableSocket) { r.socket, r.readable = p, r.poll }

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
func (p *portableSocket) receiveOther(*Batch) error { return errors.ErrUnsupported }

// An attempt is one WSASendMsg.
type attempt struct{ name string }

func (a *attempt) init() { a.name = "wsasendto" }

// transmit gives one datagram to the system. It may wait: package net has no send
// that does not.
func (p *portableSocket) transmit(_ *attempt, d *Outgoing) error {
	if d.Name != nil || d.Control != nil {
		return errors.ErrUnsupported
	}
	addr := d.Addr
	if !addr.IsValid() {
		addr = p.peer // package net does not know the peer
	}
	if !addr.IsValid() {
		return syscall.EDESTADDRREQ
	}
	_, _, err := p.conn.WriteMsgUDPAddrPort(d.Payload, nil, addr)
	return closed(err)
}
