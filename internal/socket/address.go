package socket

import (
	"errors"
	"net/netip"
	"os"
	"syscall"

	"example.com/datagram/internal/wire"
)

// Info asks the kernel only where the answer may have changed: each error holds
// the addresses, and would cost two system calls.
func (k *kernelSocket) Info() Info {
	if info := k.settled.Load(); info != nil && !k.shared.Load() {
		return *info
	}
	return k.ask()
}

// ask asks the kernel for the addresses.
func (k *kernelSocket) ask() Info {
	info := Info{Family: k.family, UDP: k.udp, Network: k.network}
	_ = k.control(func(fd uintptr) error {
		info.Local, info.Remote = k.sockname(fd), k.peername(fd)
		return nil
	})
	return info
}

// settle finds out what the socket is bound and connected to. connection must
// be held.
func (k *kernelSocket) settle() {
	info := k.ask()
	k.peer, k.port, k.source = info.Remote, info.Local.Port(), info.Local.Addr()
	k.sends.Store(false)
	if k.source.IsUnspecified() {
		k.source = netip.Addr{}
	}
	k.settled.Store(nil)
	// A socket without a port gets one with its first send. The name of a zone
	// changes with that of the interface.
	if info.Local.Port() != 0 && info.Local.Addr().Zone() == "" && info.Remote.Addr().Zone() == "" {
		k.settled.Store(&info)
	}
}

// Bind binds a socket that was opened unbound.
func (k *kernelSocket) Bind(addr netip.AddrPort) error {
	k.connection.Lock()
	defer k.connection.Unlock()
	err := k.control(func(fd uintptr) error {
		if k.port != 0 && !k.isIntact(fd) {
			if err := k.remake(fd); err != nil { // see restore
				return err
			}
			return os.NewSyscallError("bind", syscall.EINVAL) // it was bound, and is again
		}
		return k.bind(fd, addr)
	})
	k.settle()
	return err
}

// Connect sets the peer, or dissolves the association if it is the zero
// AddrPort. No send is in the kernel meanwhile.
func (k *kernelSocket) Connect(peer netip.AddrPort) error {
	if k.family == Other {
		return errors.ErrUnsupported
	}
	k.connection.Lock()
	defer k.connection.Unlock()
	err := k.control(func(fd uintptr) error {
		if k.udp && k.isBereft(fd) { // nobody has noticed: see restore
			if err := k.remake(fd); err != nil {
				return err
			}
		}
		if peer.IsValid() {
			device := boundDevice(fd)
			err := k.connect(fd, peer)
			if err == nil {
				k.device = device
			}
			return err
		}
		return k.disconnect(fd, k.sockname(fd).Port())
	})
	k.settle()
	if !peer.IsValid() && !k.limits.NetworkErrors {
		// What the peer left must not fail a send to somebody else.
		if errno := k.takePending(); errno != 0 {
			k.keep(os.NewSyscallError("getsockopt", errno))
		}
	}
	if err == nil && peer.IsValid() && !k.peer.IsValid() {
		k.peer = peer
		k.settled.Store(nil) // the system has dissolved it already: see restore
	}
	return err
}

// isUnbound reports whether the next send binds the socket. connection must be
// held.
func (k *kernelSocket) isUnbound() bool { return k.udp && k.port == 0 }

// noteAutobind notes the port that the first send has bound the socket to, even
// if that send failed.
func (k *kernelSocket) noteAutobind() {
	k.connection.Lock()
	defer k.connection.Unlock()
	k.settle()
}

// sendsIPv4 reports whether a datagram to addr travels by IPv4: its control
// messages must be of that family. connection must be held.
func (k *kernelSocket) sendsIPv4(addr netip.AddrPort) bool {
	if !addr.IsValid() {
		addr = k.peer
	}
	return k.family == IPv4 || addr.Addr().Unmap().Is4()
}

func (k *kernelSocket) bind(fd uintptr, addr netip.AddrPort) error {
	k.zones.forget(addr.Addr().Zone())
	sa, err := k.encode(new(wire.Sockaddr), addr)
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", syscall.Bind(descriptor(fd), sa))
}

func (k *kernelSocket) connect(fd uintptr, peer netip.AddrPort) error {
	// With an interface that does not exist the system would fail, and bind to
	// it all the same (__ip6_datagram_connect of Linux).
	k.zones.forget(peer.Addr().Zone())
	sa, err := k.encode(new(wire.Sockaddr), peer)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", syscall.Connect(descriptor(fd), sa))
}

// encode encodes an address for this socket. Unlike Linux it does not let one
// that is bound to an IPv6 address have an IPv4 peer, and it takes 0.0.0.0 on a
// dual-stack socket for the wildcard of both families, as package net does.
func (k *kernelSocket) encode(sa *wire.Sockaddr, addr netip.AddrPort) (syscall.Sockaddr, error) {
	switch ip := addr.Addr(); {
	case k.family == IPv6 && ip.Unmap().Is4():
		return nil, syscall.EAFNOSUPPORT
	case k.family == Dual && ip == netip.IPv4Unspecified():
		addr = netip.AddrPortFrom(netip.IPv6Unspecified(), addr.Port())
	}
	return sa.Encode(addr, k.family, &k.zones)
}

func (k *kernelSocket) sockname(fd uintptr) netip.AddrPort {
	sa, _ := syscall.Getsockname(descriptor(fd))
	addr, _ := wire.Decode(sa, &k.zones)
	return addr
}

func (k *kernelSocket) peername(fd uintptr) netip.AddrPort {
	sa, _ := syscall.Getpeername(descriptor(fd))
	addr, _ := wire.Decode(sa, &k.zones)
	return addr
}
