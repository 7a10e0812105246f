//go:build unix

package socket

import (
	"errors"
	"net"
	"net/netip"
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
// recv(2) would not do: Linux forgets a pending error that it reported
// to a peek, BSD keeps it for ever, and BSD lets a peek of no bytes succeed
// on an empty socket (soreceive_generic).
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
		n, controlSize, flags, from, err := unix.Recvmsg(int(fd), chunk.Bytes[:p.limits.Receive], s.control[:], p.receiveFlags())
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			r.batch.Free()
			return false
		}
		r.controlSize, r.flags, r.err = controlSize, flags, err
		if err == nil {
			truncated, _ := isTruncated(flags, nil)
			s.messages[0] = Incoming{Chunk: chunk, Payload: chunk.Bytes[:n], Truncated: truncated}
			s.messages[0].Addr, s.messages[0].Name = p.sender(from)
		}
		return true
	}
}

// sender returns the address of a sender. Of a family that package net does
// not know there is none.
func (p *portable) sender(from unix.Sockaddr) (netip.AddrPort, *Name) {
	switch sa := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(p.zones.name(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port)), nil
	case *unix.SockaddrUnix:
		if sa.Name != "" {
			return netip.AddrPort{}, &Name{&net.UnixAddr{Name: sa.Name, Net: unixgram}}
		}
	}
	return netip.AddrPort{}, nil
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
