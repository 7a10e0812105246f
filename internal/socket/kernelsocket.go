package socket

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A file is a descriptor in the care of Go's poller: a *net.UDPConn that
// package net opened, or an *os.File around a descriptor that the program was
// given.
type file interface {
	SyscallConn() (syscall.RawConn, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// A kernelSocket is what all sockets of a kernel share: everything but moving
// datagrams.
type kernelSocket struct {
	file     file
	raw      syscall.RawConn
	family   Family
	udp      bool
	wildcard bool // bound to no address in particular
	network  string
	limits   Limits
	features Features
	counters Counters
	zones    zones
	// multicastInterface is the index that was set last.
	multicastInterface atomic.Int32

	// connection is held for reading while a send relies on which peer the
	// socket is connected to, and for writing while that changes.
	connection sync.RWMutex
	peer       netip.AddrPort
	port       uint16      // that the socket is bound to; 0 while it is not
	source     netip.Addr  // that the socket is bound to, or sends from since it was connected; zero for a wildcard
	sends      atomic.Bool // the kernel sends from source
	device     string      // that the socket was bound to before it was connected

	// shared says that others may bind or connect the socket too: the holders of
	// a descriptor that Open was given or File has returned, and whoever has its
	// raw connection.
	shared atomic.Bool
	// settled is what Info returns while nobody but Bind and Connect changes the
	// socket. It is nil if that is not known.
	settled atomic.Pointer[Info]

	toldAhead int // how many changes were told before their ECONNABORTED came: see restore

	// taking is held by the system calls that receive, and guards interrupted: a deadline alone
	// does not end a receive that has begun, nor one that the poller finds readable before the
	// goroutine that waited has run.
	taking      sync.Mutex
	interrupted bool

	pending pendingErrors
	// hearsErrors says that somebody had asked for network errors when the socket
	// was opened: see hears.
	hearsErrors bool
}

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

func (k *kernelSocket) Interrupt() { k.setInterrupted(true, past) }
func (k *kernelSocket) Resume()    { k.setInterrupted(false, time.Time{}) }

func (k *kernelSocket) setInterrupted(interrupted bool, deadline time.Time) {
	k.taking.Lock()
	k.interrupted = interrupted
	k.taking.Unlock()
	_ = k.file.SetReadDeadline(deadline)
}

func (k *kernelSocket) Counters() *Counters { return &k.counters }

func (k *kernelSocket) Close() error {
	k.settled.Store(nil)
	return closed(k.file.Close())
}

// SyscallConn finds out whether the socket is still open: the raw connection of
// an os.File has no exported error for that.
func (k *kernelSocket) SyscallConn() (syscall.RawConn, error) {
	if err := k.control(func(uintptr) error { return nil }); err != nil {
		return nil, err
	}
	k.shared.Store(true)
	return k.raw, nil
}

// A rawConn is the raw connection of a socket that is not open yet, for programs
// that keep it: the raw connection of the open one is another.
type rawConn struct{ socket *kernelSocket }

func (c rawConn) Control(f func(fd uintptr)) error    { return c.socket.raw.Control(f) }
func (c rawConn) Read(f func(fd uintptr) bool) error  { return c.socket.raw.Read(f) }
func (c rawConn) Write(f func(fd uintptr) bool) error { return c.socket.raw.Write(f) }

// control runs f on the descriptor.
func (k *kernelSocket) control(f func(fd uintptr) error) error {
	var err error
	if e := k.raw.Control(func(fd uintptr) { err = f(fd) }); e != nil {
		return closed(e)
	}
	return err
}

// closed translates the errors of Go's poller. Those of package os for a closed
// file match no exported error.
func closed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrInterrupted
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrClosed), strings.Contains(err.Error(), "use of closed"):
		return net.ErrClosed
	}
	return err
}
