package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/datagram/internal/buffer"
)

// A file is a descriptor in the care of Go's poller: a *net.UDPConn that
// package net opened, or an *os.File around a descriptor that we were given.
type file interface {
	SyscallConn() (syscall.RawConn, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// A handle is what all implementations for a kernel share: everything but
// moving datagrams.
type handle struct {
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

	// connection is held for reading while a send relies on which peer the
	// socket is connected to, and for writing while that changes.
	connection sync.RWMutex
	peer       netip.AddrPort
	source     netip.Addr // that the socket is bound to, or sends from since it was connected; zero for a wildcard
	device     string     // that the socket was bound to before it was connected
}

// Kernel is the Network of the system that the program runs on.
type Kernel struct{}

// LookupNetIP asks the resolver of package net.
func (Kernel) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// Listen opens a socket as net.ListenConfig does and gives it its settings
// before it is bound, so that no datagram is received without them.
func (Kernel) Listen(ctx context.Context, network, address string, config Config) (Socket, error) {
	h := &handle{udp: true, network: network, limits: config.Limits}
	listener := net.ListenConfig{Control: func(network, address string, raw syscall.RawConn) error {
		h.raw, h.zones.socket = raw, h
		h.family = IPv4
		if strings.HasSuffix(network, "6") {
			h.family = Dual
			if !isWildcard(address) || h.isIPv6Only() {
				h.family = IPv6
			}
		}
		// Package net turns broadcast on for every socket.
		if err := h.SetOption(Broadcast, 0); err != nil {
			return err
		}
		h.hearOnlyJoined()
		return h.configure(network, address, isWildcard(address), config)
	}}
	conn, err := listener.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return nil, net.UnknownNetworkError(network)
	}
	return adopt(h, udp, config)
}

// configure prepares a socket, before it is bound if it is not bound already.
func (h *handle) configure(network, address string, wildcard bool, config Config) error {
	h.wildcard = wildcard
	h.offload(config)
	if h.udp && minSendBuffer > 0 && !config.Shared {
		h.raiseSendBuffer(minSendBuffer)
	}
	for _, s := range config.Settings {
		if err := h.SetOption(s.Option, s.Value); err != nil {
			return &SettingError{Option: s.Option, Err: err}
		}
	}
	h.features.Describe(config, h.supports, h.hasErrorQueue(config)) // now that IPv6Only has told the family
	if config.LocalAddresses && wildcard && h.family != Other {
		err := h.SetOption(ReceiveLocal, 1)
		h.features.Local = feature(true, nil, err)
		h.features.Local.Active = err == nil || errors.Is(err, errNotIPv4)
	}
	if config.Limits.NetworkErrors {
		err := errors.ErrUnsupported
		if h.hasErrorQueue(config) {
			err = h.reportNetworkErrors()
		}
		if err != nil {
			return &SettingError{Name: "network errors", Err: err}
		}
	}
	if config.Interface != "" {
		if err := h.bindToDevice(config.Interface); err != nil {
			return &SettingError{Name: "interface " + config.Interface, Err: err}
		}
	}
	if config.Control != nil {
		return config.Control(network, address, h.raw)
	}
	return nil
}

// Describe says which of the features are in use that a program asks for: where a
// system refuses one the socket is not opened.
func (f *Features) Describe(config Config, supports func(Option) bool, networkErrors bool) {
	asked := func(option Option) Feature {
		on := slices.Contains(config.Settings, Setting{Option: option, Value: 1})
		return askedFor(on, supports(option))
	}
	f.Local, f.HopLimit = asked(ReceiveLocal), asked(ReceiveHopLimit)
	f.TrafficClass, f.Time = asked(ReceiveTrafficClass), asked(ReceiveTime)
	f.DontFragment = asked(DontFragment)
	f.NetworkErrors = askedFor(config.Limits.NetworkErrors, networkErrors)
}

// hasErrorQueue says whether network errors can be reported.
func (h *handle) hasErrorQueue(config Config) bool { return !isPortable(config) && h.family != Other }

func askedFor(asked, supported bool) Feature {
	switch {
	case asked:
		return Feature{Active: true}
	case !supported:
		return Feature{Reason: errors.ErrUnsupported.Error()}
	}
	return Feature{Reason: "not asked for"}
}

// adopt makes a Socket of a handle and the open file that belongs to it.
func adopt(h *handle, f file, config Config) (Socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	h.file, h.raw = f, raw
	if h.udp {
		h.limits.Receive = min(h.limits.Receive, buffer.Size) // no datagram is longer
	}
	h.settle(h.Info())
	if isPortable(config) {
		return newPortable(h), nil
	}
	return newSystem(h), nil
}

// A SettingError says which setting the system refused.
type SettingError struct {
	Option Option
	Name   string // if it is not an Option
	Err    error
}

func (e *SettingError) Error() string {
	name := e.Name
	if name == "" {
		name = e.Option.String()
	}
	return name + ": " + e.Err.Error()
}

func (e *SettingError) Unwrap() error { return e.Err }

func isWildcard(address string) bool {
	addr, err := netip.ParseAddrPort(address)
	if err != nil { // an empty host
		return true
	}
	return addr.Addr().WithZone("").IsUnspecified() // package net keeps the zone of a group
}

// past is a deadline that has always passed.
var past = time.Unix(1, 0)

func (h *handle) Interrupt() { _ = h.file.SetReadDeadline(past) }
func (h *handle) Resume()    { _ = h.file.SetReadDeadline(time.Time{}) }

func (h *handle) Counters() *Counters { return &h.counters }

func (h *handle) Features() Features {
	f := h.features
	f.ReceiveMessages, f.SendMessages, f.Segments = 1, 1, 1
	return f
}

// NetworkErrors returns none: see system.
func (h *handle) NetworkErrors() NetworkErrors { return nil }

// SetSegmentation does nothing: see system.
func (h *handle) SetSegmentation(bool) {}

func (h *handle) Close() error { return closed(h.file.Close()) }

// SyscallConn looks whether the socket is still open: the raw connection of an
// os.File has no exported error for that.
func (h *handle) SyscallConn() (syscall.RawConn, error) {
	if err := h.control(func(uintptr) error { return nil }); err != nil {
		return nil, err
	}
	return h.raw, nil
}

// Info asks the kernel: an address that it chose by itself changes with
// connect and with the first send.
func (h *handle) Info() Info {
	info := Info{Family: h.family, UDP: h.udp, Network: h.network}
	_ = h.control(func(fd uintptr) error {
		info.Local, info.Remote = h.sockname(fd), h.peername(fd)
		return nil
	})
	return info
}

// Bind binds a socket that was opened unbound.
func (h *handle) Bind(addr netip.AddrPort) error {
	h.connection.Lock()
	defer h.connection.Unlock()
	err := h.control(func(fd uintptr) error { return h.bind(fd, addr) })
	h.settle(h.Info())
	return err
}

// settle remembers what the socket is bound and connected to. connection must be held.
func (h *handle) settle(info Info) {
	h.peer, h.source = info.Remote, info.Local.Addr()
	if h.source.IsUnspecified() {
		h.source = netip.Addr{}
	}
}

// Connect sets the peer, or for the zero AddrPort dissolves the association.
// No send is in the kernel meanwhile.
func (h *handle) Connect(peer netip.AddrPort) error {
	if h.family == Other {
		return errors.ErrUnsupported
	}
	h.connection.Lock()
	defer h.connection.Unlock()
	err := h.control(func(fd uintptr) error {
		if peer.IsValid() {
			device := boundDevice(fd)
			err := h.connect(fd, peer)
			if err == nil {
				h.device = device
			}
			return err
		}
		return h.disconnect(fd)
	})
	h.settle(h.Info())
	return err
}

// sendsIPv4 says whether a datagram travels by IPv4: control messages must be
// of that family. connection must be held.
func (h *handle) sendsIPv4(addr netip.AddrPort) bool {
	if !addr.IsValid() {
		addr = h.peer
	}
	return h.family == IPv4 || addr.Addr().Is4() || addr.Addr().Is4In6()
}

// unmap gives an IPv4 address that came through an IPv6 socket its own form.
func unmap(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
}

// control runs f on the descriptor.
func (h *handle) control(f func(fd uintptr) error) error {
	var err error
	if e := h.raw.Control(func(fd uintptr) { err = f(fd) }); e != nil {
		return closed(e)
	}
	return err
}

// closed translates the errors of Go's poller: package os has its own words for
// a closed file, which match no exported error.
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
