package socket

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is room for an address of any family, as large and as aligned as
// struct sockaddr_storage (128 bytes, RFC 3493 section 3.10).
type sockaddr [16]uint64

func (s *sockaddr) bytes() *[128]byte { return (*[128]byte)(unsafe.Pointer(s)) }

// encode writes the address as a socket of the family wants it and returns
// its length.
func (s *sockaddr) encode(addr netip.AddrPort, family Family, z *zones) (_ uint32, err error) {
	ip := addr.Addr()
	if family == IPv4 {
		if !ip.Is4() && !ip.Is4In6() {
			return 0, unix.EAFNOSUPPORT
		}
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.Unmap().As4()}
		putPort(&sa.Port, addr.Port())
		return unix.SizeofSockaddrInet4, nil
	}
	sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(s))
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16()}
	putPort(&sa.Port, addr.Port())
	if zone := ip.Zone(); zone != "" {
		if sa.Scope_id, err = z.index(zone); err != nil {
			return 0, err
		}
	}
	return unix.SizeofSockaddrInet6, nil
}

// encodeName writes the address of a family that is not the Internet's.
func (s *sockaddr) encodeName(name *Name) (uint32, error) {
	switch addr := name.Addr.(type) {
	case *net.UnixAddr:
		sa := (*unix.RawSockaddrUnix)(unsafe.Pointer(s))
		*sa = unix.RawSockaddrUnix{Family: unix.AF_UNIX}
		path := (*[len(sa.Path)]byte)(unsafe.Pointer(&sa.Path))
		if len(addr.Name) > len(path) {
			return 0, unix.EINVAL
		}
		n := copy(path[:], addr.Name)
		size := uint32(unsafe.Offsetof(sa.Path)) + uint32(n)
		if n > 0 && path[0] == '@' {
			path[0] = 0 // an abstract name, as package net spells it
			return size, nil
		}
		if n == len(path) {
			return size, nil // unix(7): the longest path goes without the null byte
		}
		return size + 1, nil
	case RawAddr:
		if len(addr.Sockaddr) > len(s.bytes()) {
			return 0, unix.EINVAL
		}
		return uint32(copy(s.bytes()[:], addr.Sockaddr)), nil
	default:
		return 0, unix.EAFNOSUPPORT
	}
}

// decode reads an address that the kernel wrote.
func (s *sockaddr) decode(size uint32, z *zones) (netip.AddrPort, *Name) {
	if size < 2 {
		return netip.AddrPort{}, nil // an unnamed sender
	}
	name := s.bytes()[:min(size, uint32(len(s.bytes())))]
	switch binary.NativeEndian.Uint16(name) {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), port(&sa.Port)), nil
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(s))
		ip := netip.AddrFrom16(sa.Addr)
		if ip.Is4In6() {
			ip = ip.Unmap()
		} else if sa.Scope_id != 0 {
			ip = ip.WithZone(z.name(sa.Scope_id))
		}
		return netip.AddrPortFrom(ip, port(&sa.Port)), nil
	case unix.AF_UNIX:
		path := name[unsafe.Offsetof(unix.RawSockaddrUnix{}.Path):]
		if len(path) == 0 {
			return netip.AddrPort{}, nil // an unnamed sender
		}
		if path[0] == 0 {
			path[0] = '@'
		} else if path[len(path)-1] == 0 {
			path = path[:len(path)-1]
		}
		return netip.AddrPort{}, &Name{&net.UnixAddr{Name: string(path), Net: unixgram}}
	default:
		return netip.AddrPort{}, &Name{RawAddr{Sockaddr: bytes.Clone(name)}}
	}
}

// Ports in a sockaddr are in network byte order.

func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

func port(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}
