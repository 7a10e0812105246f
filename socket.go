package datagram

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"example.com/datagram/internal/socket"
)

// openSocket is the socket of a handle with what never changes about it.
type openSocket struct {
	socket.Socket
	info socket.Info
}

// numeric looks a host name up, which may take long: before others have to wait for the socket.
func (c *Conn) numeric(ctx context.Context, network, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return address, nil // package net knows what to say of it
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address, nil
	}
	addr, err := resolve(ctx, c.config.network, network, address)
	return addr.String(), err
}

// bindOpen binds a socket that Open got unbound.
func (c *Conn) bindOpen(ctx context.Context, s *openSocket, network, address string) error {
	if s.info.Family == socket.Other || s.Info().Local.Port() != 0 {
		return c.opError("listen", nil, syscall.EINVAL)
	}
	if address == "" {
		address = ":0" // as for net.ListenPacket
	}
	addr, err := resolve(ctx, c.config.network, network, address)
	if err != nil {
		return c.opError("listen", nil, err)
	}
	return c.addrError("listen", addr, s.Bind(addr))
}

// ensure makes a socket of a family if there is none yet. The first use of a
// handle calls it.
func (c *Conn) ensure(ctx context.Context, v4 bool) (*openSocket, error) {
	s, _, err := c.ensureWith(ctx, v4, nil)
	return s, err
}

// ensureBound is ensure for a use to which a socket that Open got unbound is of no use.
func (c *Conn) ensureBound(ctx context.Context, v4 bool) (*openSocket, error) {
	s, err := c.ensure(ctx, v4)
	if err != nil || !s.info.UDP || s.info.Local.Port() != 0 || s.Info().Local.Port() != 0 {
		return s, err
	}
	wildcard := netip.IPv6Unspecified()
	if s.info.Family == socket.IPv4 {
		wildcard = netip.IPv4Unspecified()
	}
	return s, c.opError("listen", nil, s.Bind(netip.AddrPortFrom(wildcard, 0)))
}

// ensureWith is ensure for a use that may fail: prepare, if not nil, is called with a
// socket that was made, which does not become the handle's when it fails.
func (c *Conn) ensureWith(ctx context.Context, v4 bool, prepare func(socket.Socket) error) (s *openSocket, made bool, err error) {
	if s := c.socket(); s != nil {
		return s, false, nil
	}
	if err := c.acquire(ctx); err != nil {
		return nil, false, c.opError("listen", nil, err)
	}
	defer c.opening.Release(1)
	if s := c.socket(); s != nil {
		return s, false, nil
	}
	network, wildcard := "udp", "[::]:0"
	if v4 {
		network, wildcard = "udp4", "0.0.0.0:0"
	}
	if err := c.makeSocket(ctx, network, wildcard, prepare); err != nil {
		return nil, false, err
	}
	return c.socket(), true, nil
}

// acquire waits for the right to make the socket. Release gives it back.
func (c *Conn) acquire(ctx context.Context) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	if err := c.opening.Acquire(ctx, 1); err != nil {
		return err
	}
	if c.closed.Load() { // meanwhile
		c.opening.Release(1)
		return net.ErrClosed
	}
	return nil
}

// makeSocket makes, binds and prepares the socket. opening must be held.
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
	return c.adopt(s, config.Settings)
}

// adopt makes s the socket of the handle. It has the settings that are listed.
func (c *Conn) adopt(s socket.Socket, applied []socket.Setting) error {
	info := s.Info()
	c.recv.baseline(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		s.Close()
		return c.opError("listen", nil, net.ErrClosed)
	}
	// Setters may have been called while the socket was made.
	for _, setting := range c.config.settings.list() {
		if slices.Contains(applied, setting) {
			continue
		}
		if err := s.SetOption(setting.Option, setting.Value); err != nil {
			s.Close()
			return c.settingError("set", setting.Option.String(), err)
		}
	}
	if c.unsegmented {
		s.SetSegmentation(false)
	}
	if info.Remote.IsValid() {
		c.peer.Store(&info.Remote)
	}
	c.send.Attach(s)
	c.open.Store(&openSocket{Socket: s, info: info})
	return nil
}

func (c *Conn) socketConfig() socket.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return socket.Config{
		Settings:       c.config.settings.list(),
		Interface:      c.config.interfaceName,
		Control:        c.config.control,
		LocalAddresses: true,
		Limits:         c.config.limits(),
	}
}

// socket returns the socket, or nil while there is none.
func (c *Conn) socket() *openSocket { return c.open.Load() }

// existing returns the socket, or says why there is none.
func (c *Conn) existing() (*openSocket, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if s := c.socket(); s != nil {
		return s, nil
	}
	return nil, syscall.EBADF
}
