package socket

import (
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A gate is an epoll instance between a busy socket and Go's poller. The poller
// watches the instance, and hears of the socket only while the gate is open: from
// when a receive finds nothing until one has found something. The socket itself
// is unknown to the poller.
//
// To wait behind a gate takes about 1.3 times as long, and one more descriptor.
type gate struct {
	fd   int // the socket
	file *os.File
	raw  syscall.RawConn // of the instance

	// calls is held for reading by calls on fd, and for writing when it is closed.
	calls   sync.RWMutex
	cleanup runtime.Cleanup // closes fd if nobody else does, as os.File would

	// For the one who reads.
	read  func(fd uintptr) bool
	watch func(instance uintptr) bool // bound once
	open  bool
}

// newGate puts a socket behind a shut gate. It takes over fd.
func newGate(fd int) (*gate, error) {
	instance, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	err = unix.EpollCtl(instance, unix.EPOLL_CTL_ADD, fd, new(unix.EpollEvent))
	if err == nil {
		err = unix.SetNonblock(instance, true) // else os.NewFile would not give it to the poller
	}
	if err != nil {
		unix.Close(instance)
		unix.Close(fd)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	g := &gate{fd: fd, file: os.NewFile(uintptr(instance), "")}
	g.watch = g.tryAndWatch
	g.cleanup = runtime.AddCleanup(g, func(fd int) { unix.Close(fd) }, fd)
	g.raw, err = g.file.SyscallConn()
	return g, err
}

// Control runs f on the socket. Once Close waits it fails, also within another
// call, which Close waits for.
func (g *gate) Control(f func(fd uintptr)) error {
	if !g.calls.TryRLock() {
		return net.ErrClosed
	}
	defer g.calls.RUnlock()
	f(uintptr(g.fd))
	return nil
}

// Read calls f until it reports success, and waits in between.
func (g *gate) Read(f func(fd uintptr) bool) error {
	g.read = f
	return g.raw.Read(g.watch)
}

func (g *gate) tryAndWatch(instance uintptr) bool {
	done := g.read(uintptr(g.fd))
	if !done && !g.open {
		g.set(instance, true)
		done = g.read(uintptr(g.fd)) // what came earlier wakes nobody
	}
	if done && g.open {
		g.set(instance, false)
	}
	return done
}

// set opens or shuts the gate. It cannot fail: the socket is registered
// (ep_modify).
func (g *gate) set(instance uintptr, open bool) {
	g.open = open
	var event unix.EpollEvent
	if open {
		event.Events = unix.EPOLLIN
	}
	_ = unix.EpollCtl(int(instance), unix.EPOLL_CTL_MOD, g.fd, &event)
}

// SetReadDeadline sets the deadline of Read.
func (g *gate) SetReadDeadline(t time.Time) error { return g.file.SetReadDeadline(t) }

// Close ends a Read in progress and waits for calls in flight.
func (g *gate) Close() error {
	err := g.file.Close()
	g.calls.Lock() // for good
	g.cleanup.Stop()
	if e := unix.Close(g.fd); e != nil {
		err = os.NewSyscallError("close", e)
	}
	return err
}
