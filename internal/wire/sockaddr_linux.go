package wire

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A RawSockaddr is room for an address of any family as the kernel has it. It
// has the size and alignment of struct sockaddr_storage (128 bytes, RFC 3493
// section 3.10).
type RawSockaddr [16]uint64

// Bytes returns the memory of the address.
func (s *RawSockaddr) Bytes() *[128]byte { return (*[128]byte)(unsafe.Pointer(s)) }

// Encode writes an Internet address as a socket of the family wants it, and
// returns its length.
func (s *RawSockaddr) Encode(addr netip.AddrPort, family Family, zones Zones) (uint32, error) {
	ip := addr.Addr()
	scope, err := scopeID(ip, family, zones)
	switch {
	case err != nil:
		return 0, err
	case family == IPv4:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		*sa = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.Unmap().As4()}
		putPort(&sa.Port, addr.Port())
		return unix.SizeofSockaddrInet4, nil
	}
	sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(s))
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ip.As16(), Scope_id: scope}
	putPort(&sa.Port, addr.Port())
	return unix.SizeofSockaddrInet6, nil
}

// EncodeName writes an address of a family other than the Internet's, and
// returns its length.
func (s *RawSockaddr) EncodeName(name *Name) (uint32, error) {
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
			return size, nil // the longest path has no null byte (unix(7))
		}
		return size + 1, nil
	case RawAddr:
		if len(addr.Sockaddr) > len(s.Bytes()) {
			return 0, unix.EINVAL
		}
		return uint32(copy(s.Bytes()[:], addr.Sockaddr)), nil
	default:
		return 0, unix.EAFNOSUPPORT
	}
}

// Decode reads an address of size bytes that the kernel wrote. An unnamed
// sender has neither an AddrPort nor a Name.
func (s *RawSockaddr) Decode(size uint32, zones Zones) (netip.AddrPort, *Name) {
	if size < 2 {
		return netip.AddrPort{}, nil
	}
	name := s.Bytes()[:min(size, uint32(len(s.Bytes())))]
	switch binary.NativeEndian.Uint16(name) {
	case unix.AF_INET:
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), port(&sa.Port)), nil
	case unix.AF_INET6:
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(s))
		return netip.AddrPortFrom(decode(sa.Addr, sa.Scope_id, zones), port(&sa.Port)), nil
	case unix.AF_UNIX:
		path := name[unsafe.Offsetof(unix.RawSockaddrUnix{}.Path):]
		if len(path) == 0 {
			return netip.AddrPort{}, nil
		}
		if path[0] == 0 {
			path[0] = '@'
		} else if path[len(path)-1] == 0 {
			path = path[:len(path)-1]
		}
		return netip.AddrPort{}, &Name{&net.UnixAddr{Name: string(path), Net: Unixgram}}
	default:
		return netip.AddrPort{}, &Name{RawAddr{Sockaddr: bytes.Clone(name)}}
	}
}

// Ports are in network byte order.

func putPort(p *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], port)
}

func port(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}
