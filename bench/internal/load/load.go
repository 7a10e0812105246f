// Package load is the neutral traffic: the same program against every peer's server. It makes its
// system calls directly and on one thread, to take as little of the machine as possible.
package load

import (
	"fmt"
	"net/netip"
	"runtime"
	"runtime/debug"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/mark"
	"golang.org/x/sys/unix"
)

// Roles of this package: clients send requests to an echo server, senders send as fast as they can.
const (
	Clients = "clients"
	Senders = "senders"
)

// Has reports whether a role belongs to this package.
func Has(role string) bool { return role == Clients || role == Senders }

// Run runs such a role as a child process.
func Run(a *child.Args, ctl *child.Control) error {
	dest, err := netip.ParseAddrPort(a.Dest)
	if err != nil {
		return err
	}
	fds, err := dial(a.Clients, dest)
	if err != nil {
		return err
	}
	debug.SetGCPercent(-1) // there is no garbage, and a collection would delay a reply
	var loop func() error
	if a.Role == Senders {
		loop = func() error { return send(a, ctl.Counts, fds) }
	} else {
		c, err := newClients(a, ctl.Counts, fds)
		if err != nil {
			return err
		}
		ctl.OnMark, ctl.Hist, ctl.Resent = c.record, c.hist.Pairs, c.resent.Load
		loop = c.loop
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := loop(); err != nil {
			child.Fatal(fmt.Errorf("%s: %w", a.Role, err))
		}
	}()
	ctl.Stop = func() { <-done }
	return ctl.Run(mark.Ready{})
}

// dial opens n non-blocking sockets connected to dest.
func dial(n int, dest netip.AddrPort) ([]int, error) {
	fds := make([]int, n)
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		child.GrowFD(fd)
		if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: dest.Addr().As4(), Port: int(dest.Port())}); err != nil {
			return nil, err
		}
		fds[i] = fd
	}
	return fds, nil
}
