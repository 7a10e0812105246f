package datagramtest

import (
	"context"
	"net"
	"net/netip"

	"example.com/datagram/internal/socket"
)

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// plain returns an address in the form in which the network compares addresses.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func plainPort(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(plain(addr.Addr()), addr.Port())
}

// zoned returns an address as hosts see it: link-local ones with the interface.
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

// parseAddress returns the family and the address that an endpoint gets, as package net
// chooses them, and whether the address was that of a group.
func parseAddress(ctx context.Context, network, address string) (family socket.Family, local netip.AddrPort, group bool, err error) {
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
	switch host {
	case "":
	case "localhost":
		addr = loopback(addr)
		if network == "udp" {
			addr = loopback(netip.IPv4Unspecified())
		}
	default:
		if addr, err = netip.ParseAddr(host); err != nil {
			return 0, local, false, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		addr = plain(addr)
	}
	if addr.Is4() && network == "udp6" || addr.Is6() && network == "udp4" {
		return 0, local, false, &net.AddrError{Err: "no suitable address", Addr: host}
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
