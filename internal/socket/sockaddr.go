package socket

import (
	"net/netip"
	"os"
	"syscall"
)

func bind(fd uintptr, addr netip.AddrPort, family Family) error {
	sa, err := new(sockaddrs).encode(addr, family)
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", syscall.Bind(descriptor(fd), sa))
}

func connect(fd uintptr, peer netip.AddrPort, family Family) error {
	sa, err := new(sockaddrs).encode(peer, family)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", syscall.Connect(descriptor(fd), sa))
}

func sockname(fd uintptr) netip.AddrPort {
	sa, _ := syscall.Getsockname(descriptor(fd))
	return decodeSockaddr(sa)
}

func peername(fd uintptr) netip.AddrPort {
	sa, _ := syscall.Getpeername(descriptor(fd))
	return decodeSockaddr(sa)
}

// sockaddrs is room for an address of either family, so that who sends often
// need not allocate one for each datagram.
type sockaddrs struct {
	v4 syscall.SockaddrInet4
	v6 syscall.SockaddrInet6
}

// encode returns the address as a socket of the family wants it.
func (s *sockaddrs) encode(addr netip.AddrPort, family Family) (syscall.Sockaddr, error) {
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
		s.v6.ZoneId = zones.index(zone)
	}
	if ip.Is4() && ip.IsUnspecified() {
		s.v6.Addr = [16]byte{} // the wildcard of both families
	}
	return &s.v6, nil
}

// decodeSockaddr returns the zero AddrPort for families other than the Internet's.
func decodeSockaddr(sa syscall.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(zones.name(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}
