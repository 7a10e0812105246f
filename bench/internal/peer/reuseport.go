package peer

import (
	"context"
	"net"
	"syscall"

	"example.com/datagram/bench/internal/child"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// echo returns the echo of a loop that runs on each socket: the one, or several with SO_REUSEPORT.
func echo(loop func(*child.Args, *net.UDPConn) error) func(a *child.Args) (Half, error) {
	return func(a *child.Args) (Half, error) {
		first, err := listen("", a.BindAddr())
		if err != nil {
			return Half{}, err
		}
		conns := []*net.UDPConn{first}
		if a.Handles > 0 {
			conns, err = sharing(first, a.Handles)
		}
		run := func() error {
			var loops errgroup.Group
			for _, c := range conns {
				loops.Go(func() error { return loop(a, c) })
			}
			return loops.Wait()
		}
		stop := func() {
			for _, c := range conns {
				c.Close()
			}
		}
		return Half{Addr: localAddr(first), Run: run, Close: stop}, err
	}
}

// sharing returns n sockets with the address of first, which is one of them.
func sharing(first *net.UDPConn, n int) ([]*net.UDPConn, error) {
	conns := []*net.UDPConn{first}
	share := func(c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); e != nil {
			return e
		}
		return err
	}
	raw, err := first.SyscallConn()
	if err == nil {
		err = share(raw)
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return share(c) }}
	for err == nil && len(conns) < n {
		var c net.PacketConn
		if c, err = config.ListenPacket(context.Background(), "udp4", localAddr(first).String()); err == nil {
			conns = append(conns, c.(*net.UDPConn))
			err = child.Grow(conns[len(conns)-1])
		}
	}
	return conns, err
}
