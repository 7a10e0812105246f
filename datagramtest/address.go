package datagramtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"example.com/datagram/internal/socket"
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// plain returns an address in the form that the network compares.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func plainPort(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(plain(addr.Addr()), addr.Port())
}

// plainPrefix returns a prefix of plain addresses. It panics if the prefix is neither valid nor
// zero, which is a programming error.
func plainPrefix(p netip.Prefix) netip.Prefix {
	switch {
	case p == netip.Prefix{}:
		return p
	case !p.IsValid():
		panic(fmt.Sprintf("datagramtest: invalid Prefix with the address %v", p.Addr()))
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// zoned returns an address as hosts see it: link-local ones have the interface as their zone.
func zoned(addr netip.AddrPort) netip.AddrPort {
	if ip := addr.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
		return netip.AddrPortFrom(ip.WithZone(networkName), addr.Port())
	}
	return addr
}

// loopback returns the loopback address of the family of addr.
func loopback(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// LookupNetIP resolves localhost and literal addresses only.
func (o opener) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	addrs := []netip.Addr{loopback(netip.IPv4Unspecified()), loopback(netip.IPv6Unspecified())}
	if host != "localhost" {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		addrs = []netip.Addr{addr.Unmap()}
	}
	addrs = slices.DeleteFunc(addrs, func(addr netip.Addr) bool {
		return addr.Is4() && network == "ip6" || addr.Is6() && network == "ip4"
	})
	if len(addrs) == 0 {
		return nil, &net.AddrError{Err: "no suitable address found", Addr: host}
	}
	return addrs, nil
}

// parseAddress returns the family and the address, with its zone, of a new endpoint, chosen as
// package net does, and whether address was that of a group.
func (o opener) parseAddress(ctx context.Context, network, address string) (family socket.Family, local netip.AddrPort, group bool, err error) {
	if address == "" {
		address = ":0"
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return 0, local, false, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return 0, local, false, err
	}
	addr := netip.IPv6Unspecified()
	if network == "udp4" {
		addr = netip.IPv4Unspecified()
	}
	if host != "" {
		addrs, err := o.LookupNetIP(ctx, "ip"+strings.TrimPrefix(network, "udp"), host)
		if err != nil {
			return 0, local, false, err
		}
		addr = addrs[0]
	}
	family = socket.IPv6
	if addr.Is4() {
		family = socket.IPv4
	}
	if addr.IsUnspecified() && network == "udp" {
		family, addr = socket.Dual, netip.IPv6Unspecified()
	}
	if group = addr.IsMulticast(); group {
		addr = wildcard(family)
	}
	return family, netip.AddrPortFrom(addr, uint16(port)), group, nil
}

func wildcard(family socket.Family) netip.Addr {
	if family == socket.IPv4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
