package socket

import (
	"net/netip"
	"os"
	"syscall"
)

func (h *handle) bind(fd uintptr, addr netip.AddrPort) error {
	sa, err := new(sockaddrs).encode(addr, h.family, &h.zones)
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", syscall.Bind(descriptor(fd), sa))
}

func (h *handle) connect(fd uintptr, peer netip.AddrPort) error {
	sa, err := new(sockaddrs).encode(peer, h.family, &h.zones)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", syscall.Connect(descriptor(fd), sa))
}

func (h *handle) sockname(fd uintptr) netip.AddrPort {
	sa, _ := syscall.Getsockname(descriptor(fd))
	return decodeSockaddr(sa, &h.zones)
}

func (h *handle) peername(fd uintptr) netip.AddrPort {
	sa, _ := syscall.Getpeername(descriptor(fd))
	return decodeSockaddr(sa, &h.zones)
}

// sockaddrs is room for an address of either family, so that who sends often
// need not allocate one for each datagram.
type sockaddrs struct {
	v4 syscall.SockaddrInet4
	v6 syscall.SockaddrInet6
}

// encode returns the address as a socket of the family wants it.
func (s *sockaddrs) encode(addr netip.AddrPort, family Family, z *zones) (_ syscall.Sockaddr, err error) {
	ip := addr.Addr()
	is4 := ip.Is4() || ip.Is4In6()
	if !ip.IsValid() || is4 && family == IPv6 || !is4 && family == IPv4 {
		return nil, syscall.EAFNOSUPPORT
	}
	if family == IPv4 {
		s.v4 = syscall.SockaddrInet4{Port: int(addr.Port()), Addr: ip.Unmap().As4()}
		return &s.v4, nil
	}
	s.v6 = syscall.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		if s.v6.ZoneId, err = z.index(zone); err != nil {
			return nil, err
		}
	}
	if ip.Is4() && ip.IsUnspecified() {
		s.v6.Addr = [16]byte{} // the wildcard of both families
	}
	return &s.v6, nil
}

// decodeSockaddr returns the zero AddrPort for families other than the Internet's.
func decodeSockaddr(sa syscall.Sockaddr, z *zones) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(z.name(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}
