package datagramtest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"example.com/datagram/internal/socket"
)

// An opener is the [socket.Network] of a host, or of all hosts.
type opener struct {
	network *Network
	host    *Host // nil: selected by address
}

// An endpoint is a [socket.Socket] on a host. The network's mu guards it.
type endpoint struct {
	network  *Network
	host     *Host // nil until it is bound
	family   socket.Family
	name     string // of the network, as in package net
	limits   socket.Limits
	features socket.Features
	counters socket.Counters
	device   int // interface that it is bound to, or 0

	local  netip.AddrPort
	peer   netip.AddrPort // zero while unconnected
	source netip.Addr     // chosen when connecting a wildcard endpoint

	options     [socket.Options]int
	memberships map[membership]sources

	arrived  []*arrival
	buffered int // receive buffer space that arrived takes
	drops    uint32
	refusal  syscall.Errno // pending, for the next call
	met      []error       // errors that sends encountered, not yet reported
	reports  socket.NetworkErrors
	messages []socket.Incoming // of the latest Receive

	interrupted bool
	closed      bool
	changed     sync.Cond // signals what Receive waits for
}

// Listen creates an endpoint. Errors contain the network and the address, as in package net.
func (o opener) Listen(ctx context.Context, network, address string, config socket.Config) (socket.Socket, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fail := &net.OpError{Op: "listen", Net: network}
	family, local, group, err := o.parseAddress(ctx, network, address)
	if err != nil {
		fail.Err = err
		return nil, fail
	}
	fail.Addr = net.UDPAddrFromAddrPort(local)
	e := &endpoint{
		network: o.network, family: family, name: network, local: plainPort(local), limits: config.Limits,
		options: defaultOptions, memberships: make(map[membership]sources),
	}
	e.changed.L = &o.network.mu
	e.options[socket.ReuseAddr] = asInt(group)
	e.configure(config)
	if fail.Err = e.apply(address, config); fail.Err != nil {
		return nil, fail
	}
	if fail.Err = o.bind(e, local.Addr(), config.Exclusive); fail.Err != nil {
		return nil, fail
	}
	return e, nil
}

// bind puts an endpoint on a host. An exclusive one shares its port only with those bound later.
func (o opener) bind(e *endpoint, addr netip.Addr, exclusive bool) error {
	o.network.lock()
	defer o.network.mu.Unlock()
	if o.network.closed {
		return net.ErrClosed
	}
	if err := checkZone(addr); err != nil {
		return os.NewSyscallError("bind", err)
	}
	host := o.host
	if host == nil {
		host = o.network.hostOf(e.local.Addr())
	}
	if exclusive {
		shares := e.options[socket.ReusePort]
		e.options[socket.ReusePort] = 0
		defer func() { e.options[socket.ReusePort] = shares }()
	}
	return host.bind(e)
}

// checkZone checks the zone of an address to bind to. Addresses that need no zone may have any.
func checkZone(addr netip.Addr) error {
	if !needsZone(addr) {
		return nil
	}
	switch index := interfaceIndex(addr.Zone()); {
	case index < 0:
		return syscall.EINVAL
	case index == loopbackIndex:
		return syscall.EADDRNOTAVAIL
	case index != networkIndex:
		return syscall.ENODEV
	}
	return nil
}

// Open fails, since descriptors belong to the system.
func (o opener) Open(*os.File, socket.Config) (socket.Socket, error) {
	return nil, errors.ErrUnsupported
}

// configure sets the features that the endpoint has of those of a kernel.
func (e *endpoint) configure(config socket.Config) {
	none := socket.Feature{Reason: "a simulated network has none"}
	f := &e.features
	*f = socket.Features{Segment: none, Coalesce: none, ReceiveMessages: 1, SendMessages: 1, Segments: 1}
	f.Describe(config, func(socket.Option) bool { return true }, true)
	if config.Batch {
		f.Batch.Active, f.ReceiveMessages, f.SendMessages = true, maxMessages, maxMessages
	} else {
		f.Batch.Reason = config.Reason
	}
	if config.LocalAddresses && e.isWildcard() {
		f.Local, e.options[socket.ReceiveLocal] = socket.Feature{Active: true}, 1
	}
}

// apply applies the caller's settings.
func (e *endpoint) apply(address string, config socket.Config) error {
	for _, s := range config.Settings {
		if err := e.SetOption(s.Option, s.Value); err != nil {
			return &socket.SettingError{Option: s.Option, Err: err}
		}
	}
	switch config.Interface {
	case "":
	case loopbackName:
		e.device = loopbackIndex
	case networkName:
		e.device = networkIndex
	default:
		return &socket.SettingError{Name: "interface " + config.Interface, Err: syscall.ENODEV}
	}
	if config.Control == nil {
		return nil
	}
	network := "udp6"
	if e.family == socket.IPv4 {
		network = "udp4"
	}
	return config.Control(network, address, noRawConn{})
}

// noRawConn is the raw connection of an endpoint, which has no descriptor.
type noRawConn struct{}

func (noRawConn) Control(func(uintptr)) error    { return errors.ErrUnsupported }
func (noRawConn) Read(func(uintptr) bool) error  { return errors.ErrUnsupported }
func (noRawConn) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// address returns the address that the endpoint is bound to, or got when it was connected. mu must
// be held.
func (e *endpoint) address() netip.Addr {
	if e.source.IsValid() {
		return e.source
	}
	return e.local.Addr()
}

func (e *endpoint) isWildcard() bool { return e.local.Addr().IsUnspecified() }

// ended returns net.ErrClosed if the endpoint or its network is closed. mu must be held.
func (e *endpoint) ended() error {
	if e.closed || e.network.closed {
		return net.ErrClosed
	}
	return nil
}

// do calls f with mu held if the endpoint is open.
func (e *endpoint) do(f func() error) error {
	e.network.lock()
	defer e.network.mu.Unlock()
	if err := e.ended(); err != nil {
		return err
	}
	return f()
}

// Info describes the endpoint.
func (e *endpoint) Info() socket.Info {
	e.network.lock()
	defer e.network.mu.Unlock()
	info := socket.Info{Family: e.family, UDP: true, Network: e.name}
	if e.ended() == nil {
		info.Local, info.Remote = zoned(netip.AddrPortFrom(e.address(), e.local.Port())), zoned(e.peer)
	}
	return info
}

// Bind fails, since an endpoint is bound when it is created.
func (e *endpoint) Bind(netip.AddrPort) error {
	return e.do(func() error { return os.NewSyscallError("bind", syscall.EINVAL) })
}

// Connect sets the peer, or removes it for the zero AddrPort.
func (e *endpoint) Connect(peer netip.AddrPort) error {
	return e.do(func() error { return os.NewSyscallError("connect", e.connect(peer)) })
}

func (e *endpoint) connect(peer netip.AddrPort) error {
	if !peer.IsValid() {
		e.peer, e.source = netip.AddrPort{}, netip.Addr{}
		return nil
	}
	if e.family == socket.Dual && peer.Addr() == netip.IPv4Unspecified() { // the wildcard of both families
		peer = netip.AddrPortFrom(netip.IPv6Unspecified(), peer.Port())
	}
	to, zone, err := resolve(peer)
	if err != nil {
		return err
	}
	control := socket.Control{IfIndex: zone}
	switch {
	case !e.serves(to.Addr()):
		return syscall.EAFNOSUPPORT
	case needsZone(to.Addr()) && e.outgoing(to.Addr(), control) == 0:
		return syscall.EINVAL
	case to.Addr() == broadcast && e.options[socket.Broadcast] == 0:
		return syscall.EACCES
	}
	route, err := e.route(to.Addr(), control)
	if err != nil {
		return err
	}
	e.peer = to
	if e.isWildcard() {
		e.source = route.from
	}
	return nil
}

// Close frees the port.
func (e *endpoint) Close() error {
	e.network.lock()
	defer e.network.mu.Unlock()
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	e.host.unbind(e)
	for _, a := range e.arrived {
		a.chunk.Free()
	}
	e.arrived = nil
	e.changed.Broadcast()
	return nil
}

// SyscallConn fails, since there is no descriptor.
func (e *endpoint) SyscallConn() (syscall.RawConn, error) {
	return nil, e.do(func() error { return errors.ErrUnsupported })
}

// File fails, since there is no descriptor.
func (e *endpoint) File() (*os.File, error) {
	return nil, e.do(func() error { return errors.ErrUnsupported })
}

func (e *endpoint) SetSegmentation(bool) {}

func (e *endpoint) Segments() bool { return false }

func (e *endpoint) Features() socket.Features { return e.features }

func (e *endpoint) Counters() *socket.Counters { return &e.counters }
