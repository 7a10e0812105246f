package socket

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/systems"
)

// Kernel is the Network of the system that the program runs on.
type Kernel struct{}

// LookupNetIP asks the resolver of package net.
func (Kernel) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if _, err := netip.ParseAddr(host); err != nil && ctx.Err() != nil {
		return nil, ctx.Err() // package net at times answers all the same, from a file
	}
	return net.DefaultResolver.LookupNetIP(ctx, network, host)
}

// Interface asks package net, in the network namespace of the calling thread.
func (Kernel) Interface(index int) (*net.Interface, error) { return net.InterfaceByIndex(index) }

// Listen opens a socket as net.ListenConfig does. It gives the socket its
// settings before binding it, so that no datagram is received without them.
func (Kernel) Listen(ctx context.Context, network, address string, config Config) (Socket, error) {
	k := &kernelSocket{udp: true, network: network, limits: config.Limits}
	k.zones.socket = k
	sharesLater := false
	listener := net.ListenConfig{Control: func(network, address string, raw syscall.RawConn) error {
		k.raw = raw
		k.family = IPv4
		if strings.HasSuffix(network, "6") {
			k.family = Dual
			if !isWildcard(address) || k.isIPv6Only() {
				k.family = IPv6
			}
		}
		// Package net turns broadcast on for every socket.
		if err := k.SetOption(Broadcast, 0); err != nil {
			return err
		}
		k.hearOnlyJoined()
		early := config
		if sharesLater = config.sharesLater(address); sharesLater {
			early.Settings = slices.DeleteFunc(slices.Clone(config.Settings), isReusePort)
		}
		return k.configure(network, address, early)
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
	if sharesLater {
		if err := k.SetOption(ReusePort, 1); err != nil {
			conn.Close()
			return nil, &SettingError{Option: ReusePort, Err: err}
		}
	}
	return k.adopt(udp, config)
}

// sharesLater reports whether to set ReusePort after binding to address: Linux
// binds a socket with the option to a port that others share, even if it chooses
// the port itself (udp_lib_lport_inuse).
func (c *Config) sharesLater(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	return systems.LateReusePort.Here() && (c.Exclusive || port == "0") && slices.ContainsFunc(c.Settings, isReusePort)
}

func isReusePort(s Setting) bool { return s.Option == ReusePort && s.Value != 0 }

// configure applies config to a socket, which in Listen is not bound yet.
func (k *kernelSocket) configure(network, address string, config Config) error {
	k.wildcard = isWildcard(address)
	k.offload(config)
	if k.udp && minSendBuffer > 0 && !config.Shared {
		k.raiseSendBuffer(minSendBuffer)
	}
	for _, s := range config.Settings {
		if err := k.SetOption(s.Option, s.Value); err != nil {
			return &SettingError{Option: s.Option, Err: err}
		}
	}
	k.features.Describe(config, k.supports, k.hasErrorQueue(config)) // now that IPv6Only has told the family
	if config.LocalAddresses && k.family != Other && (k.wildcard || hearsSeveralLinks(address)) {
		err := k.SetOption(ReceiveLocal, 1)
		k.features.Local = offloaded(true, nil, err)
		k.features.Local.Active = err == nil || errors.Is(err, errNotIPv4)
	}
	if config.Limits.NetworkErrors {
		err := errors.ErrUnsupported
		if k.hasErrorQueue(config) {
			err = k.reportNetworkErrors()
		}
		if err != nil {
			return &SettingError{Name: "network errors", Err: err}
		}
	}
	if config.Interface != "" {
		err := errors.ErrUnsupported
		if systems.BindToDevice.IPv4.Here() {
			err = k.bindToDevice(config.Interface)
		}
		if err != nil {
			return &SettingError{Name: "interface " + config.Interface, Err: err}
		}
	}
	if config.Control != nil {
		k.shared.Store(true)
		return config.Control(network, address, rawConn{k})
	}
	return nil
}

// adopt takes over the open file of a configured socket.
func (k *kernelSocket) adopt(f file, config Config) (Socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	k.file, k.raw = f, raw
	if k.udp {
		k.limits.Receive = min(k.limits.Receive, buffer.Size) // no datagram is longer
	}
	k.settle()
	k.hearsErrors = k.hearsNetworkErrors()
	if !k.peer.IsValid() { // else the device may be that of the peer's address
		_ = k.control(func(fd uintptr) error { k.device = boundDevice(fd); return nil })
	}
	if isPortable(config) {
		return newPortableSocket(k), nil
	}
	return newLinuxSocket(k), nil
}

func isWildcard(address string) bool {
	addr, err := netip.ParseAddrPort(address)
	if err != nil { // an empty host, or no address at all
		return true
	}
	return addr.Addr().WithZone("").IsUnspecified() // package net keeps the zone of a group
}

// System names the operating system, its release if known, and the architecture.
func System() string {
	return strings.Join(strings.Fields(runtime.GOOS+" "+release()+" "+runtime.GOARCH), " ")
}
