package datagram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/semaphore"

	"example.com/datagram/internal/socket"
)

// A binding connects a handle to a socket, and the socket to its addresses.
type binding struct {
	life *lifetime
	// steps is held by the goroutine that creates, binds, connects or disconnects the socket, so
	// that each such step sees the result of the last. Others may give up waiting when their
	// context ends.
	steps *semaphore.Weighted
	// create creates the socket, binds it, passes it to prepare, if not nil, and then makes it the
	// handle's. steps must be held.
	create func(ctx context.Context, network, address string, prepare func(socket.Socket) error) error

	open atomic.Pointer[openSocket]
	peer atomic.Pointer[netip.AddrPort] // nil while unconnected
}

// openSocket is the socket of a handle, with its Info from when the handle got it. The family, the
// network and UDP never change; for the addresses call Info.
type openSocket struct {
	socket.Socket
	info socket.Info
}

func (b *binding) init(life *lifetime, create func(context.Context, string, string, func(socket.Socket) error) error) {
	b.life, b.create = life, create
	b.steps = semaphore.NewWeighted(1)
}

// acquire waits for steps. release releases it.
func (b *binding) acquire(ctx context.Context) error {
	if b.life.closed.Load() {
		return net.ErrClosed
	}
	if err := b.steps.Acquire(ctx, 1); err != nil {
		return err
	}
	if b.life.closed.Load() { // meanwhile
		b.release()
		return net.ErrClosed
	}
	return nil
}

func (b *binding) release() { b.steps.Release(1) }

// socket returns the socket, or nil while there is none.
func (b *binding) socket() *openSocket { return b.open.Load() }

// existing returns the socket, or the error of a handle that has none.
func (b *binding) existing() (*openSocket, error) {
	if b.life.closed.Load() {
		return nil, net.ErrClosed
	}
	if s := b.socket(); s != nil {
		return s, nil
	}
	return nil, syscall.EBADF
}

// ensure returns the socket. If there is none, it creates one of the given family.
func (b *binding) ensure(ctx context.Context, v4 bool) (*openSocket, error) {
	if s := b.socket(); s != nil {
		return s, nil
	}
	s, err := b.use(ctx, v4, func(socket.Socket) error { return nil })
	return s, b.opError("listen", nil, err)
}

// ensureBound is ensure for uses that need a bound socket. The socket may be unbound because Open
// got it so or because it has lost its port. A connected one has a port, or regains it.
func (b *binding) ensureBound(ctx context.Context, v4 bool) (*openSocket, error) {
	if s := b.socket(); s != nil && (!s.info.UDP || b.peer.Load() != nil || s.Info().Local.Port() != 0) {
		return s, nil
	}
	s, err := b.use(ctx, v4, bindWildcard)
	return s, b.opError("listen", nil, err)
}

// use runs a step on the socket, which it creates if there is none. A socket created for a step
// that fails does not become the handle's.
func (b *binding) use(ctx context.Context, v4 bool, step func(socket.Socket) error) (*openSocket, error) {
	if err := b.acquire(ctx); err != nil {
		return nil, err
	}
	defer b.release()
	if s := b.socket(); s != nil {
		return s, step(s)
	}
	network, wildcard := "udp", "[::]:0"
	if v4 {
		network, wildcard = "udp4", "0.0.0.0:0"
	}
	single := false // no socket has both families, so package net chose IPv4
	err := b.create(ctx, network, wildcard, func(s socket.Socket) error {
		if single = !v4 && s.Info().Family == socket.IPv4; single {
			return syscall.EAFNOSUPPORT
		}
		return step(s)
	})
	if single {
		err = b.create(ctx, "udp6", wildcard, step)
	}
	if err != nil {
		return nil, err
	}
	return b.socket(), nil
}

// bindWildcard binds a UDP socket if it is not bound yet.
func bindWildcard(s socket.Socket) error {
	info := s.Info()
	if info.Local.Port() != 0 || !info.Local.IsValid() { // if it is no socket at all, receiving reports that
		return nil
	}
	wildcard := netip.IPv6Unspecified()
	if info.Family == socket.IPv4 {
		wildcard = netip.IPv4Unspecified()
	}
	err := s.Bind(netip.AddrPortFrom(wildcard, 0))
	if err != nil && s.Info().Local.Port() != 0 {
		return nil // bound meanwhile by a send, which does not hold steps, or by another holder of the socket
	}
	return err
}

// localAddr returns the address that the socket is bound to now.
func (b *binding) localAddr() netip.AddrPort {
	s, err := b.existing()
	if err != nil {
		return netip.AddrPort{}
	}
	local := s.Info().Local
	if local.Port() == 0 && s.info.UDP {
		return netip.AddrPort{}
	}
	return local
}

// remoteAddr returns the peer.
func (b *binding) remoteAddr() netip.AddrPort {
	if peer := b.peer.Load(); peer != nil && !b.life.closed.Load() {
		return *peer
	}
	return netip.AddrPort{}
}

// forgetPeer marks the handle unconnected if the system has disconnected its socket.
func (b *binding) forgetPeer() {
	if peer := b.peer.Load(); peer != nil && !b.socket().Info().Remote.IsValid() {
		b.peer.CompareAndSwap(peer, nil)
	}
}

// dialAny connects to the first of a host name's addresses that accepts a
// connection.
func (c *Conn) dialAny(ctx context.Context, network, address string, peers []netip.AddrPort) error {
	var failed error
	for _, peer := range peers {
		op := c.dial(ctx, peer)
		switch {
		case op == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case len(peers) == 1:
			return op
		case failed == nil:
			failed = fmt.Errorf("%v: %w", peer, op.Err)
		default:
			failed = fmt.Errorf("%w; %v: %w", failed, peer, op.Err)
		}
	}
	return &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", address, failed)}
}

// dial creates a socket connected to peer.
func (c *Conn) dial(ctx context.Context, peer netip.AddrPort) *net.OpError {
	network, wildcard, loopback := "udp4", "0.0.0.0:0", netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if peer.Addr().Is6() {
		network, wildcard, loopback = "udp6", "[::]:0", netip.IPv6Loopback()
	}
	if peer.Addr().IsUnspecified() {
		peer = netip.AddrPortFrom(loopback, peer.Port())
	}
	err := c.acquire(ctx)
	if err == nil {
		defer c.release()
		err = c.makeSocket(ctx, network, wildcard, func(s socket.Socket) error { return connectTo(s, peer) })
	}
	if err == nil {
		return nil
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err // the operation is "dial"
	}
	return &net.OpError{Op: "dial", Net: network, Addr: net.UDPAddrFromAddrPort(peer), Err: err}
}

// makeSocket is the binding's create.
func (c *Conn) makeSocket(ctx context.Context, network, address string, prepare func(socket.Socket) error) error {
	if !c.enter() { // Done waits for the program's control function
		return c.opError("listen", nil, net.ErrClosed)
	}
	defer c.leave()
	config := c.socketConfig()
	s, err := c.config.network.Listen(ctx, network, address, config)
	if err != nil {
		return c.opError("listen", nil, err)
	}
	if prepare != nil {
		if err := prepare(s); err != nil {
			s.Close()
			return err
		}
	}
	if err := c.adopt(s, config.Settings); err != nil {
		return err
	}
	if peer := c.peer.Load(); peer != nil {
		c.recv.setPeer(*peer) // others may have sent before prepare connected it
	}
	return nil
}

// adopt makes s the socket of the handle. The settings in applied have been applied to s.
func (c *Conn) adopt(s socket.Socket, applied []socket.Setting) error {
	open := &openSocket{Socket: s, info: s.Info()}
	fail := func(op string, err error) error {
		s.Close()
		return &net.OpError{Op: op, Net: open.info.Network, Err: err}
	}
	c.recv.attach(open)
	c.wanted.mu.Lock()
	defer c.wanted.mu.Unlock()
	if c.closed.Load() {
		return fail("listen", net.ErrClosed)
	}
	// Setters may have been called while the socket was created.
	for _, setting := range c.wanted.list() {
		if slices.Contains(applied, setting) {
			continue
		}
		if err := s.SetOption(setting.Option, setting.Value); err != nil {
			return fail("set", &socket.SettingError{Option: setting.Option, Err: err})
		}
	}
	if c.wanted.unsegmented {
		s.SetSegmentation(false)
	}
	if open.info.Remote.IsValid() {
		c.peer.Store(&open.info.Remote)
	}
	c.send.Attach(s)
	c.open.Store(open)
	return nil
}

func (c *Conn) socketConfig() socket.Config {
	c.wanted.mu.Lock()
	defer c.wanted.mu.Unlock()
	return socket.Config{
		Settings:       c.wanted.list(),
		Exclusive:      c.config.exclusive,
		Interface:      c.config.interfaceName,
		Control:        c.config.control,
		LocalAddresses: true,
		Limits:         c.config.limits(),
	}
}
