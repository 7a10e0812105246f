package datagram

import (
	"context"
	"net"
	"net/netip"

	"example.com/datagram/internal/socket"
)

// Resolve looks up an address as [net.ResolveUDPAddr] does. The network must be
// "udp", "udp4" or "udp6". The address may contain a host name, or an IP
// address with or without a zone, and a port number or service name. An empty
// host means the wildcard address. If a host name has several addresses,
// Resolve prefers IPv4 unless the network is "udp6"; [Dial] tries all of them.
// Resolve blocks until the name is resolved or ctx ends.
func Resolve(ctx context.Context, network, address string) (netip.AddrPort, error) {
	addr, err := resolve(ctx, socket.Kernel{}, network, address)
	if err != nil {
		return netip.AddrPort{}, lookupError(ctx, "resolve", network, err)
	}
	return addr, nil
}

// lookupError adds to err what the lookup was for. If ctx has ended, it returns
// ctx's error instead.
func lookupError(ctx context.Context, op, network string, err error) error {
	if ctx != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return &net.OpError{Op: op, Net: network, Err: err}
}

// resolve is Resolve on a network that may have names of its own.
func resolve(ctx context.Context, on socket.Network, network, address string) (netip.AddrPort, error) {
	addrs, err := resolveAll(ctx, on, network, address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for _, addr := range addrs {
		if addr.Addr().Is4() {
			return addr, nil
		}
	}
	return addrs[0], nil
}

// resolveAll returns all addresses of a name in the resolver's order, which
// puts those likely to be reachable first (RFC 6724).
func resolveAll(ctx context.Context, on socket.Network, network, address string) ([]netip.AddrPort, error) {
	if ctx == nil {
		return nil, errNilContext
	}
	family, ok := map[string]string{"udp": "ip", "udp4": "ip4", "udp6": "ip6"}[network]
	if !ok {
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	if host == "" {
		wildcard := netip.IPv4Unspecified()
		if network == "udp6" {
			wildcard = netip.IPv6Unspecified()
		}
		return []netip.AddrPort{netip.AddrPortFrom(wildcard, uint16(port))}, nil
	}
	ips, err := on.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = []netip.Addr{ip} // with its zone, which LookupNetIP drops
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return addrs, nil
}

// numeric replaces a host name by its address. Lookups take long, so callers do
// this before others have to wait for the socket.
func (c *Conn) numeric(ctx context.Context, network, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return address, nil // package net reports what is wrong
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return address, nil
	}
	addr, err := resolve(ctx, c.config.network, network, address)
	return addr.String(), err
}
