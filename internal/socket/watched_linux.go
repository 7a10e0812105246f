package socket

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A watched is the descriptor of a UDP socket. While the socket is quiet, Go's
// poller watches it. The poller asks for both directions and for good: each
// datagram that arrives, and each sent one that the kernel frees (sock_wfree),
// wakes a thread in epoll_wait, though nobody waits (golang.org/issue/17249). A
// busy socket is therefore taken from the poller and put behind a gate.
//
// Each watcher has a duplicate of its own, since only the end of a descriptor
// ends its registration. Calls in flight finish on the old one.
type watched struct {
	by atomic.Pointer[watcher]

	mu       sync.Mutex // held while by changes; guards what follows
	closed   bool
	pinned   bool // stays with the poller
	writers  int  // waiting for room, for which only the poller waits
	deadline time.Time
}

// A watcher is a descriptor with the means to wait for it.
type watcher interface {
	Control(f func(fd uintptr)) error // fails only after Close
	Read(f func(fd uintptr) bool) error
	SetReadDeadline(time.Time) error
	// Close ends a Read in progress and waits for calls in flight.
	Close() error
}

// polled is a descriptor in the care of Go's poller.
type polled struct {
	file
	syscall.RawConn
}

func newWatched(f file, raw syscall.RawConn) *watched {
	w := new(watched)
	by := watcher(polled{f, raw})
	w.by.Store(&by)
	return w
}

// Control runs f on the descriptor.
func (w *watched) Control(f func(fd uintptr)) error {
	for {
		by := w.by.Load()
		err := (*by).Control(f)
		if err == nil || by == w.by.Load() { // else it was replaced
			return err
		}
	}
}

// receive calls f until it reports success, and waits in between. It has one
// caller at a time.
func (w *watched) receive(f func(fd uintptr) bool) error {
	for {
		by := w.by.Load()
		err := (*by).Read(f)
		if err == nil || by == w.by.Load() || closed(err) != net.ErrClosed {
			return err
		}
	}
}

// Read is like receive, for others who wait too.
func (w *watched) Read(f func(fd uintptr) bool) error {
	if err := w.pin(); err != nil {
		return err
	}
	return w.receive(f)
}

// Write calls f until it reports success, and waits for room in between. While
// the poller cannot have the socket, for example for want of descriptors, it
// tries again and again.
func (w *watched) Write(f func(fd uintptr) bool) error {
	w.addWriters(1)
	defer w.addWriters(-1)
	for between := pause(0); ; between.wait() {
		if w.toPoller() == nil {
			return (*w.by.Load()).(polled).Write(f)
		}
		done := false
		if err := w.Control(func(fd uintptr) { done = f(fd) }); err != nil || done {
			return err
		}
	}
}

func (w *watched) addWriters(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writers += n
}

// pin leaves the socket to the poller for good.
func (w *watched) pin() error {
	w.mu.Lock()
	w.pinned = true
	w.mu.Unlock()
	return w.toPoller()
}

func (w *watched) SyscallConn() (syscall.RawConn, error) { return w, nil }

// SetReadDeadline sets the deadline of receive.
func (w *watched) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return (*w.by.Load()).SetReadDeadline(t)
}

// Close ends a receive or Write in progress and waits for calls in flight.
func (w *watched) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return net.ErrClosed
	}
	w.closed = true
	return (*w.by.Load()).Close()
}

// toGate takes the socket from the poller, unless somebody needs it there. All
// stays as it is if that fails, for example for want of descriptors.
func (w *watched) toGate() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pinned || w.writers > 0 || w.isGated() {
		return nil
	}
	fd, err := w.duplicate()
	if err != nil {
		return err
	}
	g, err := newGate(fd)
	if err != nil {
		return err
	}
	return w.replace(g)
}

// toPoller gives the socket back to the poller.
func (w *watched) toPoller() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return net.ErrClosed
	case !w.isGated():
		return nil
	}
	fd, err := w.duplicate()
	if err != nil {
		return err
	}
	// Who shares the socket may have cleared this, by which os.NewFile decides.
	_ = unix.SetNonblock(fd, true)
	f := os.NewFile(uintptr(fd), "")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return err
	}
	return w.replace(polled{f, raw})
}

// isGated reports whether the socket is behind a gate.
func (w *watched) isGated() bool {
	_, gated := (*w.by.Load()).(*gate)
	return gated
}

func (w *watched) duplicate() (dup int, err error) {
	if e := w.Control(func(fd uintptr) {
		dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); e != nil {
		return 0, e
	}
	return dup, os.NewSyscallError("fcntl", err)
}

// replace makes by the watcher if it can wait. mu must be held.
func (w *watched) replace(by watcher) error {
	if err := by.SetReadDeadline(w.deadline); err != nil {
		by.Close()
		return err
	}
	return (*w.by.Swap(&by)).Close()
}
