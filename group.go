package datagram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"example.com/datagram/internal/socket"
)

// A Group is a set of handles that share an address, so that a server can use
// several processors. Each handle has a socket, a queue and goroutines of its
// own; the system distributes what arrives among them: see [WithSteering]. By
// default the same flow, that is, the same addresses and ports of sender and
// receiver, always comes to the same handle. That holds as long as the group
// lives, so receive on all handles, and close only the group.
//
// A broadcast or multicast datagram is delivered by one handle. If the system
// gives each a copy, the first delivers it, and the others drop theirs and count
// them in [Stats].PolicyDrops. The first handle is also the one that joins
// multicast groups.
//
// Multiple goroutines may call methods on a Group simultaneously.
type Group struct {
	conns []*Conn
	done  func() <-chan struct{}
}

// maxGroup is how many sockets can share a port on Linux (reuseport_grow).
const maxGroup = 1<<16 - 1

// ListenGroup returns n handles bound to the same local address, or as many as
// GOMAXPROCS if n is 0. Network, address and options are those of [Listen], and
// the options apply to each handle. If n is not in 0…65,535, ListenGroup returns
// EINVAL; if one of the sockets cannot be created, none is left open.
//
// The port must be free; with port 0 the system chooses one for all. To share a
// port with other groups of the same user, use [WithReusePort] and name the port.
//
// Only Linux and FreeBSD distribute datagrams among sockets. On other systems n
// greater than 1 fails with errors.ErrUnsupported, and 0 makes one handle. See
// [Capabilities].Balancing.
func ListenGroup(ctx context.Context, network, address string, n int, opts ...Option) (*Group, error) {
	config, err := newConfig(opts)
	if err == nil {
		err = checkRange("size of the group", n, 0, maxGroup)
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Err: err}
	}
	if n > 0 {
		return listenGroup(ctx, network, address, n, config)
	}
	g, err := listenGroup(ctx, network, address, runtime.GOMAXPROCS(0), config)
	if errors.Is(err, errors.ErrUnsupported) {
		return listenGroup(ctx, network, address, 1, config)
	}
	return g, err
}

func listenGroup(ctx context.Context, network, address string, n int, config config) (*Group, error) {
	if n > 1 && !config.settings.asked[socket.ReusePort] {
		config.settings.remember(socket.ReusePort, 1)
		config.exclusive = true
	}
	return newGroup(n, config, func(i int, c *Conn) error {
		err := c.Bind(ctx, network, address)
		if i == 0 {
			address = sameAddress(address, c.LocalAddr())
		}
		return err
	})
}

// sameAddress returns an address with the port of bound, and also its host if address has a name
// instead. It keeps the addresses of multicast groups, which are bound to the wildcard.
func sameAddress(address string, bound netip.AddrPort) string {
	host, _, _ := net.SplitHostPort(address)
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		host = bound.Addr().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(bound.Port())))
}

// OpenGroup returns handles for sockets that share an address, as [Open] does
// for one: those of a predecessor (see [Group.Files]), or of systemd. Their order
// matters: give them as the predecessor's Files returned them, otherwise in the
// order in which they were bound. If the predecessor joined multicast groups, it
// must have done so on the first.
//
// OpenGroup returns EINVAL if there is no file, if one is nil, and if the sockets
// do not share one UDP address. If one of them cannot be opened, none is. Unless
// [WithSteering] is given, they keep the steering that they have.
func OpenGroup(files []*os.File, opts ...Option) (*Group, error) {
	config, err := newConfig(opts)
	switch {
	case err != nil:
	case len(files) == 0:
		err = invalid("group without files")
	case slices.Contains(files, nil):
		err = invalid("nil file")
	}
	if err != nil {
		return nil, &net.OpError{Op: "open", Net: "udp", Err: err}
	}
	infos := make([]os.FileInfo, len(files))
	return newGroup(len(files), config, func(i int, c *Conn) (err error) {
		if err = c.openFile(files[i]); err != nil || len(files) == 1 {
			return err
		}
		if infos[i], err = files[i].Stat(); err == nil {
			err = c.member.checkShares(c)
		}
		if slices.ContainsFunc(infos[:i], func(other os.FileInfo) bool { return os.SameFile(other, infos[i]) }) {
			err = invalid("group with one socket twice")
		}
		return c.opError("open", nil, err)
	})
}

// checkShares returns an error if the sockets of two handles, which may be the same, do not share
// one address.
func (c *Conn) checkShares(other *Conn) error {
	s, first := other.socket(), c.socket()
	local, want := other.LocalAddr(), c.LocalAddr()
	shares, err := s.Option(socket.ReusePort)
	switch {
	case err != nil:
		return &socket.SettingError{Option: socket.ReusePort, Err: err}
	case !s.info.UDP, !local.IsValid():
		return invalid("socket in a group without a UDP address")
	case local != want, s.info.Family != first.info.Family:
		return fmt.Errorf("in a group with %s %v: %w", first.info.Network, want, syscall.EINVAL)
	case shares == 0:
		return invalid("socket in a group that does not share its port")
	}
	return nil
}

// newGroup returns a group of n handles after open succeeds on each.
func newGroup(n int, config config, open func(i int, c *Conn) error) (*Group, error) {
	g := &Group{}
	g.done = sync.OnceValue(g.awaitAll)
	if err := g.open(n, config, open); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func (g *Group) open(n int, config config, open func(i int, c *Conn) error) error {
	for i := range n {
		c := newConn(config)
		g.conns = append(g.conns, c)
		c.member = g.conns[0]
		if err := open(i, c); err != nil {
			return err
		}
		if i > 0 {
			if err := c.dropCopies(); err != nil {
				return err
			}
		}
		config.exclusive = false // the others share the port of the first
	}
	return g.steer(config.steering, config.steeringAsked)
}

// steer sets how the system distributes datagrams. Unasked, it leaves that as it is.
func (g *Group) steer(s Steering, asked bool) error {
	switch {
	case s == SteerCPU:
		return g.conns[0].set(socket.Steering, len(g.conns))
	case asked && len(g.conns) > 1:
		if err := g.conns[0].set(socket.Steering, 0); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// Conns returns the handles, in a slice of the caller's own. Programs can use
// them like any others, for example [Conn.Recv] on each.
func (g *Group) Conns() []*Conn { return slices.Clone(g.conns) }

// LocalAddr returns the address that the handles share: see [Conn.LocalAddr].
func (g *Group) LocalAddr() netip.AddrPort { return g.conns[0].LocalAddr() }

// Serve receives on all handles as [Conn.Serve] does, each on a goroutine of its
// own. Once all are receiving, it calls handle with the handle that has received
// the datagram, one at a time for each handle, and concurrently for several.
//
// Serve returns when all of these goroutines have ended: when ctx ends, with
// ctx's error; when receiving on one handle fails, with that error, which ends
// the others; and when receiving has been stopped on all, with nil. It returns
// EALREADY, without having called handle, if one of the handles is already
// receiving. The handles stay open. If handle panics or calls [runtime.Goexit],
// Serve ends all others and then does the same.
func (g *Group) Serve(ctx context.Context, handle func(*Conn, Datagram)) error {
	first := g.conns[0]
	if handle == nil {
		return first.opError("read", nil, first.argumentError(nilHandler))
	}
	if err := first.checkContext(ctx); err != nil {
		return first.opError("read", nil, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		serving, serveCtx = errgroup.WithContext(ctx)
		panicked          atomic.Pointer[any]
		exited            atomic.Bool
		unclaimed         atomic.Int64
		allClaimed        = make(chan struct{})
	)
	unclaimed.Store(int64(len(g.conns)))
	claimed := func(func()) {
		if unclaimed.Add(-1) == 0 {
			close(allClaimed)
		}
		select {
		case <-allClaimed:
		case <-serveCtx.Done():
		}
	}
	for _, c := range g.conns {
		serving.Go(func() error {
			returned := false
			defer func() {
				if returned {
					return
				}
				if value := recover(); value != nil {
					panicked.CompareAndSwap(nil, &value)
				} else {
					exited.Store(true)
				}
				cancel()
			}()
			err := c.serve(serveCtx, c.recv.each(func(d Datagram) { handle(c, d) }), claimed)
			returned = true
			return err
		})
	}
	err := serving.Wait()
	if value := panicked.Load(); value != nil {
		panic(*value)
	}
	if exited.Load() {
		runtime.Goexit()
	}
	return err
}

// Stats returns the sums of the handles' counters, which never decrease.
func (g *Group) Stats() Stats {
	var sum Stats
	total := sum.counters()
	for _, c := range g.conns {
		stats := c.Stats()
		for i, counter := range stats.counters() {
			*total[i].value += *counter.value
		}
	}
	return sum
}

// Files returns duplicates of the sockets' descriptors, in the order of the
// handles, for a successor that calls [OpenGroup]: see [Conn.File]. The caller
// must close them.
func (g *Group) Files() ([]*os.File, error) {
	var files []*os.File
	for _, c := range g.conns {
		f, err := c.File()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// DrainRecv calls [Conn.DrainRecv] on all handles at once, waits for all, and
// returns the first error.
func (g *Group) DrainRecv(ctx context.Context) error {
	return g.each(func(c *Conn) error { return c.DrainRecv(ctx) })
}

// Shutdown calls [Conn.Shutdown] on all handles at once, waits for all, and
// returns the first error.
func (g *Group) Shutdown(ctx context.Context) error {
	return g.each(func(c *Conn) error { return c.Shutdown(ctx) })
}

// Close closes all handles at once, and returns the first error. See
// [Conn.Close].
func (g *Group) Close() error { return g.each((*Conn).Close) }

// Done returns a channel that is closed once [Conn.Done] is for all handles.
func (g *Group) Done() <-chan struct{} { return g.done() }

// each calls f for all handles concurrently, waits for all, and returns the first error.
func (g *Group) each(f func(*Conn) error) error {
	var calls errgroup.Group
	for _, c := range g.conns {
		calls.Go(func() error { return f(c) })
	}
	return calls.Wait()
}

// awaitAll returns a channel that is closed when nothing runs any more for any handle.
func (g *Group) awaitAll() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, c := range g.conns {
			<-c.Done()
		}
	}()
	return done
}
