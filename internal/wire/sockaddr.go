package wire

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// An Internet address has two layouts here: Sockaddr, which package syscall has on
// every system, and the kernel's own, which sendmmsg and recvmmsg need. What they
// hold is decided by scopeID and decode.

// scopeID returns the index of an address's zone, or an error if a socket of the
// family cannot have the address.
func scopeID(ip netip.Addr, family Family, zones Zones) (uint32, error) {
	switch {
	case !ip.IsValid(), family == IPv4 && !ip.Is4() && !ip.Is4In6():
		return 0, syscall.EAFNOSUPPORT
	case family == IPv4 || ip.Zone() == "":
		return 0, nil
	}
	return zones.Index(ip.Zone())
}

// decode returns the address of 16 bytes with its zone.
func decode(bytes [16]byte, scope uint32, zones Zones) netip.Addr {
	ip := netip.AddrFrom16(bytes).Unmap()
	if scope != 0 && ip.Is6() {
		ip = ip.WithZone(zones.Name(scope))
	}
	return ip
}

// A Sockaddr is room for an Internet address as package syscall has it. Who
// sends often keeps one instead of allocating an address for each datagram.
type Sockaddr struct {
	v4 syscall.SockaddrInet4
	v6 syscall.SockaddrInet6
}

// Encode returns addr as a socket of the family wants it. The result is valid
// until the next call.
func (s *Sockaddr) Encode(addr netip.AddrPort, family Family, zones Zones) (syscall.Sockaddr, error) {
	ip := addr.Addr()
	scope, err := scopeID(ip, family, zones)
	switch {
	case err != nil:
		return nil, err
	case family == IPv4:
		s.v4 = syscall.SockaddrInet4{Port: int(addr.Port()), Addr: ip.Unmap().As4()}
		return &s.v4, nil
	}
	s.v6 = syscall.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16(), ZoneId: scope}
	return &s.v6, nil
}

// EncodeName returns the address of an AF_UNIX socket, the only other family that
// package syscall can send to.
func EncodeName(name *Name) (syscall.Sockaddr, error) {
	if addr, ok := name.Addr.(*net.UnixAddr); ok {
		return &syscall.SockaddrUnix{Name: addr.Name}, nil
	}
	return nil, errors.Join(errors.ErrUnsupported, syscall.EAFNOSUPPORT)
}

// Decode returns the address that sa holds. An unnamed socket, and one of a family
// that package syscall does not know, has neither an AddrPort nor a Name.
func Decode(sa syscall.Sockaddr, zones Zones) (netip.AddrPort, *Name) {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(decode(sa.Addr, sa.ZoneId, zones), uint16(sa.Port)), nil
	case *syscall.SockaddrUnix:
		if sa.Name != "" {
			return netip.AddrPort{}, &Name{&net.UnixAddr{Name: sa.Name, Net: Unixgram}}
		}
	}
	return netip.AddrPort{}, nil
}
