//go:build unix

package socket

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/wire"
)

func isTruncated(flags int, err error) (bool, error) { return flags&unix.MSG_TRUNC != 0, err }

func isControlLost(flags int) bool { return flags&unix.MSG_CTRUNC != 0 }

// singleReceive is the receive side of a socket. One goroutine at a time uses it.
type singleReceive struct {
	socket *portableSocket
	batch  *Batch
	asked  bool
	waited bool // nothing was there at first
	// Bound once, so that a receive allocates nothing.
	readable, receive func(fd uintptr) bool
	controlSize       int
	flags             int
	err               error
}

func (r *singleReceive) init(p *portableSocket) {
	r.socket, r.readable, r.receive = p, r.poll, r.recvmsg
}

// wait waits until the socket is readable.
func (r *singleReceive) wait(b *Batch) error {
	r.batch, r.asked, r.waited = b, false, false
	return closed(r.socket.raw.Read(r.readable))
}

// poll reports whether there is something to read, or an error. A peek with
// recv(2) would not do: Linux forgets a pending error that a peek has returned,
// BSD keeps it for ever, and lets a peek of no bytes succeed on an empty socket
// (soreceive_generic).
//
// After a wait it trusts the poller. If that is wrong, the read waits.
func (r *singleReceive) poll(fd uintptr) bool {
	if r.asked {
		return true
	}
	r.asked = true
	if !isReadable(fd) {
		r.batch.Free()
		r.waited = true
		return false
	}
	return true
}

// receiveOther receives on a socket that package net does not know.
func (p *portableSocket) receiveOther(b *Batch) error {
	r := &p.receiving
	r.batch, r.waited = b, false
	if err := p.raw.Read(r.receive); err != nil {
		return closed(err)
	}
	if r.err != nil {
		return p.failed(b, os.NewSyscallError("recvmsg", r.err))
	}
	p.finish(b, b.memory.(*single), r.controlSize, r.flags)
	return nil
}

// recvmsg is called when the poller takes the descriptor for readable.
func (r *singleReceive) recvmsg(fd uintptr) bool {
	p := r.socket
	s := offerSingle(r.batch, p.limits.Receive)
	chunk := s.messages[0].Chunk
	for {
		n, controlSize, flags, from, err := syscall.Recvmsg(int(fd), chunk.Bytes[:p.limits.Receive], s.control[:], p.receiveFlags())
		switch err {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			r.batch.Free()
			r.waited = true
			return false
		case unix.EAFNOSUPPORT: // package syscall does not know the sender's family; there is a datagram
			err = nil
		}
		r.controlSize, r.flags, r.err = controlSize, flags, err
		if err == nil {
			truncated, _ := isTruncated(flags, nil)
			s.messages[0] = Incoming{Chunk: chunk, Payload: chunk.Bytes[:n], Truncated: truncated}
			s.messages[0].Addr, s.messages[0].Name = wire.Decode(from, &p.zones)
		}
		return true
	}
}

// An attempt is one sendto or sendmsg.
type attempt struct {
	addr         wire.Sockaddr
	control      [wire.ControlSize]byte
	payload, oob []byte
	to           syscall.Sockaddr
	name         string // of the system call
	err          error
	try          func(fd uintptr) // bound once, so that a send allocates nothing
}

func (a *attempt) init() { a.try = a.send }

func (a *attempt) send(fd uintptr) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	for {
		if len(a.oob) == 0 { // the kernel has less to copy
			a.name = "sendto"
			a.err = syscall.Sendto(int(fd), a.payload, flags, a.to)
		} else {
			a.name = "sendmsg"
			_, a.err = syscall.SendmsgN(int(fd), a.payload, a.oob, a.to, flags)
		}
		if a.err != unix.EINTR {
			return
		}
	}
}

// transmit gives one datagram to the kernel and never waits.
func (p *portableSocket) transmit(a *attempt, d *Outgoing) error {
	a.payload, a.oob, a.to = d.Payload, nil, nil
	defer func() { a.payload, a.to = nil, nil }()

	var err error
	switch {
	case d.Name != nil:
		a.to, err = wire.EncodeName(d.Name)
	case d.Addr.IsValid() && d.Addr != p.peer:
		a.to, err = p.encode(&a.addr, d.Addr)
	}
	if err != nil {
		return err
	}
	if d.wantsControl() && (len(d.Payload) > 0 || emptyControl) {
		if a.oob, err = p.appendControl(a.control[:0], d); err != nil {
			return err
		}
	}
	// Control lets senders run side by side; Write would make them queue.
	if err := p.raw.Control(a.try); err != nil {
		return closed(err)
	}
	if a.err == unix.EAGAIN && minSendBuffer > 0 && p.exceedsSendBuffer(len(d.Payload)+len(a.oob)) {
		a.err = unix.EMSGSIZE
	}
	if a.err != nil {
		return os.NewSyscallError(a.name, a.err)
	}
	return nil
}

// exceedsSendBuffer reports whether n bytes of payload and control messages are
// more than the send buffer ever holds. BSD fails with EMSGSIZE if the payload
// alone is too long, but with EAGAIN if only both together are, and then there
// is nothing to wait for (sosend; github.com/quinn-rs/quinn/pull/2727).
func (k *kernelSocket) exceedsSendBuffer(n int) bool {
	size, err := k.socketOption(WriteBuffer)
	return err == nil && n > size
}
