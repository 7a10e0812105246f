//go:build unix

package socket

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func isTruncated(flags int, err error) (bool, error) { return flags&unix.MSG_TRUNC != 0, err }

func isControlLost(flags int) bool { return flags&unix.MSG_CTRUNC != 0 }

// singleReceive is the receive side of a socket. One goroutine at a time uses it.
type singleReceive struct {
	socket *portable
	batch  *Batch
	asked  bool
	polled [1]unix.PollFd
	// Bound once, so that a receive allocates nothing.
	readable, receive func(fd uintptr) bool
	controlSize       int
	flags             int
	err               error
}

func (r *singleReceive) init(p *portable) {
	r.socket, r.readable, r.receive = p, r.poll, r.recvmsg
}

// wait waits until the socket is readable.
func (r *singleReceive) wait(b *Batch) error {
	r.batch, r.asked = b, false
	return closed(r.socket.raw.Read(r.readable))
}

// poll asks whether there is something to read, be it an error. Peeking with
// recv(2) would not do: Linux forgets a pending error that it reported to a
// peek, BSD keeps it for ever, and BSD lets a peek of no bytes succeed on an
// empty socket (soreceive_generic).
//
// After a wait the poller's word is enough: were it ever wrong, the read would wait.
func (r *singleReceive) poll(fd uintptr) bool {
	if r.asked {
		return true
	}
	r.asked = true
	r.polled[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	for {
		n, err := unix.Poll(r.polled[:], 0)
		if err == unix.EINTR {
			continue
		}
		if n == 0 && err == nil {
			r.batch.Free()
			return false
		}
		return true // what is wrong, if anything, the read will say
	}
}

// receiveOther receives on a socket that package net does not know.
func (p *portable) receiveOther(b *Batch) error {
	r := &p.receiving
	r.batch = b
	if err := p.raw.Read(r.receive); err != nil {
		return closed(err)
	}
	if r.err != nil {
		return os.NewSyscallError("recvmsg", r.err)
	}
	p.finish(b, b.memory.(*single), r.controlSize, r.flags)
	return nil
}

// recvmsg is called by the poller, with the descriptor readable as far as the
// poller knows.
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
			return false
		case unix.EAFNOSUPPORT: // is what package syscall says of a sender's address: there is a datagram
			err = nil
		}
		r.controlSize, r.flags, r.err = controlSize, flags, err
		if err == nil {
			truncated, _ := isTruncated(flags, nil)
			s.messages[0] = Incoming{Chunk: chunk, Payload: chunk.Bytes[:n], Truncated: truncated}
			s.messages[0].Addr = decodeSockaddr(from, &p.zones)
			if sender, ok := from.(*syscall.SockaddrUnix); ok && sender.Name != "" {
				s.messages[0].Name = &Name{&net.UnixAddr{Name: sender.Name, Net: unixgram}}
			}
		}
		return true
	}
}

// An attempt is one sendto or sendmsg.
type attempt struct {
	sockaddrs
	control      [controlSize]byte
	payload, oob []byte
	to           syscall.Sockaddr
	err          error
	try          func(fd uintptr) // bound once, so that a send allocates nothing
}

func (a *attempt) init() { a.try = a.send }

func (a *attempt) send(fd uintptr) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	for {
		if len(a.oob) == 0 { // the kernel has less to copy
			a.err = syscall.Sendto(int(fd), a.payload, flags, a.to)
		} else {
			_, a.err = syscall.SendmsgN(int(fd), a.payload, a.oob, a.to, flags)
		}
		if a.err != unix.EINTR {
			return
		}
	}
}

// transmit hands one datagram to the kernel and never waits.
func (p *portable) transmit(a *attempt, d *Outgoing) error {
	a.payload, a.oob, a.to = d.Payload, nil, nil
	defer func() { a.payload, a.to = nil, nil }()

	var err error
	switch {
	case d.Name != nil:
		a.to, err = encodeName(d.Name)
	case d.Addr.IsValid() && d.Addr != p.peer:
		a.to, err = a.encode(d.Addr, p.family, &p.zones)
	}
	if err != nil {
		return err
	}
	if d.Control != nil && (len(d.Payload) > 0 || emptyControl) {
		if a.oob, err = p.appendControl(a.control[:0], d); err != nil {
			return err
		}
	}
	// Control lets senders run side by side where Write would make them queue.
	if err := p.raw.Control(a.try); err != nil {
		return closed(err)
	}
	if a.err == unix.EAGAIN && minSendBuffer > 0 && p.exceedsSendBuffer(len(d.Payload)+len(a.oob)) {
		a.err = unix.EMSGSIZE
	}
	if a.err != nil {
		return os.NewSyscallError("send", a.err)
	}
	return nil
}

func encodeName(name *Name) (syscall.Sockaddr, error) {
	if addr, ok := name.Addr.(*net.UnixAddr); ok {
		return &syscall.SockaddrUnix{Name: addr.Name}, nil
	}
	return nil, errors.Join(errors.ErrUnsupported, syscall.EAFNOSUPPORT)
}

// exceedsSendBuffer says whether so many bytes, payload and control messages,
// are more than the send buffer ever holds. Of a payload alone the systems that
// descend from BSD say EMSGSIZE, but of both together EAGAIN, and there is
// nothing to wait for (sosend; github.com/quinn-rs/quinn/pull/2727).
func (h *handle) exceedsSendBuffer(n int) bool {
	size, err := h.systemOption(WriteBuffer)
	return err == nil && n > size
}
