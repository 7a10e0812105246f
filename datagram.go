package datagram

import (
	"bytes"
	"context"
	"math"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// A Datagram is one message with its address, received or to be sent.
//
// Received payloads are lent: Payload is valid until [Datagram.Release], which
// gives the memory back for use by later datagrams. A Datagram that is never
// released stays valid and costs the garbage collector what any allocation
// costs. Copies of a Datagram share the payload; releasing one releases all.
type Datagram struct {
	// Payload is what was sent, without any header. It may be empty.
	// Its capacity ends with it, so append copies.
	Payload []byte

	// Addr is the sender of a received datagram and the destination of one to
	// send. It is zero for the peer of a connected handle when sending, and for
	// addresses that are not of the Internet: see [Datagram.NetAddr] and
	// [ToNet]. IPv4 addresses are never mapped into IPv6.
	Addr netip.AddrPort

	// Partial says that the datagram was longer than the handle receives, see
	// [WithMaxDatagramSize], and that the system has discarded the rest.
	// libuv calls it UV_UDP_PARTIAL.
	Partial bool

	connected bool // received on a connected handle
	elsewhere bool // sent to a broadcast or multicast address

	// Meta is what else is known of a received datagram, or asked for one to send.
	Meta Metadata

	lease buffer.Lease
	name  *socket.Name
}

// Metadata is what travels beside a datagram's payload. When receiving, fields
// are filled in as [WithMetadata] asks; the zero value means unknown. When
// sending, the zero value means the socket's default, and what the system
// cannot do is errors.ErrUnsupported: on Windows everything, on macOS and BSD
// HopLimit over IPv4, on NetBSD and OpenBSD TrafficClass over IPv4, on BSD
// IfIndex over IPv4 without Local.
type Metadata struct {
	// Local is the address that a received datagram was sent to, which may be
	// a multicast or broadcast address, or the address to send from. To send
	// from an address that is not the host's fails with the system's error.
	Local netip.Addr
	// IfIndex is the index of the interface that a datagram came in on or has
	// to go out of.
	IfIndex int
	// HopLimit is the IPv4 time to live or the IPv6 hop limit, 1 to 255.
	HopLimit int
	// TrafficClass is the IPv4 type of service or the IPv6 traffic class:
	// six bits of DSCP (RFC 2474) and two of ECN (RFC 3168).
	TrafficClass uint8
	// Time is when the system received the datagram.
	Time time.Time
}

// ECN is the explicit congestion notification field of an IP header.
type ECN uint8

// The values of ECN on the wire (RFC 3168 section 5).
const (
	NotECT ECN = 0 // not capable
	ECT1   ECN = 1
	ECT0   ECN = 2
	CE     ECN = 3 // congestion experienced
)

// canSend says whether the fields are something to ask for.
func (m *Metadata) canSend() bool {
	return m.HopLimit == int(uint8(m.HopLimit)) && 0 <= m.IfIndex && m.IfIndex <= math.MaxInt32
}

// ECN returns the lower two bits of the traffic class.
func (m Metadata) ECN() ECN { return ECN(m.TrafficClass & 3) }

// To returns a Datagram to send to addr. The payload is not copied.
func To(addr netip.AddrPort, payload []byte) Datagram {
	return Datagram{Addr: addr, Payload: payload}
}

// ToNet returns a Datagram to send to an address of any family: a
// [*net.UDPAddr] or [*net.IPAddr], a [*net.UnixAddr], a [RawAddr], or what
// [Datagram.NetAddr] returned. A nil addr stands for the connected peer. The
// payload is not copied.
func ToNet(addr net.Addr, payload []byte) Datagram {
	d := Datagram{Payload: payload}
	switch a := addr.(type) {
	case nil:
	case *net.UDPAddr:
		if a != nil {
			d.setAddr(a, a.IP, a.Zone, a.Port)
		}
	case *net.IPAddr:
		if a != nil {
			d.setAddr(a, a.IP, a.Zone, 0)
		}
	case *net.UnixAddr:
		if a != nil {
			d.name = &socket.Name{Addr: a}
		}
	case RawAddr:
		d.name = &socket.Name{Addr: socket.RawAddr(a)}
	default:
		if udp, err := netip.ParseAddrPort(addr.String()); err == nil && strings.HasPrefix(addr.Network(), "udp") {
			d.Addr = unmap(udp)
		} else {
			d.name = &socket.Name{Addr: addr} // the system says that it has no such family
		}
	}
	return d
}

// setAddr sets the destination to an Internet address of package net, whose zero value stands for none. One
// that no socket can have is kept as it is, for the system to refuse.
func (d *Datagram) setAddr(addr net.Addr, ip net.IP, zone string, port int) {
	host, ok := netip.AddrFromSlice(ip)
	switch {
	case ok && port == int(uint16(port)):
		d.Addr = netip.AddrPortFrom(host.Unmap().WithZone(zone), uint16(port))
	case len(ip) == 0 && 0 < port && port == int(uint16(port)): // as net.ResolveUDPAddr returns for ":port"
		d.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))
	case len(ip) > 0 || port != 0:
		d.name = &socket.Name{Addr: addr}
	}
}

// NetAddr returns the sender or destination in the type that package net has
// for it: [*net.UDPAddr], [*net.UnixAddr], or a [RawAddr] for a family that
// package net does not know. It is nil if there is no address, as that of an
// unnamed Unix socket. It allocates.
func (d Datagram) NetAddr() net.Addr {
	switch {
	case d.name != nil:
		if raw, ok := d.name.Addr.(socket.RawAddr); ok {
			return RawAddr(raw)
		}
		return d.name.Addr
	case d.Addr.IsValid():
		return net.UDPAddrFromAddrPort(d.Addr)
	default:
		return nil
	}
}

// Release gives the payload's memory back: the caller must not use Payload any
// more. It is optional; releasing a datagram again, or a copy of it, does
// nothing, and so does releasing one that was not received. Release may be
// called from any goroutine, also after the handle was closed.
func (d Datagram) Release() { d.lease.Release() }

// Clone returns a copy of d with memory of its own, valid for ever.
func (d Datagram) Clone() Datagram {
	d.Payload = bytes.Clone(d.Payload)
	d.lease = buffer.Lease{}
	return d
}

// Reply returns a Datagram to send back to the sender of d, from the address
// that d was sent to if that is known (see [WithMetadata]; it is by default for
// handles bound to a wildcard address). The reply to what a connected handle
// received has no address, as the handle's peer is meant. The payload is not
// copied.
func (d Datagram) Reply(payload []byte) Datagram {
	reply := Datagram{Payload: payload}
	if d.connected { // which has settled the source too
		return reply
	}
	reply.Addr, reply.name = d.Addr, d.name
	// A group's address is nothing to send from. The interface is left to
	// routing but where the address means nothing without it.
	if local := d.Meta.Local; local.IsValid() && !d.elsewhere && !local.IsMulticast() {
		reply.Meta.Local = local
		if local.IsLinkLocalUnicast() {
			reply.Meta.IfIndex = d.Meta.IfIndex
		}
	}
	return reply
}

// outgoing returns the datagram with a payload as sockets know it, but for its control.
func (d *Datagram) outgoing(payload []byte) socket.Outgoing {
	return socket.Outgoing{Payload: payload, Addr: d.Addr, Name: d.name}
}

// control returns what to ask the system for, nil for nothing. It points into
// d, whose receive time it forgets: that is nothing to ask for, and would keep
// neighbours from leaving together.
func (d *Datagram) control() *socket.Control {
	d.Meta.Time = time.Time{}
	if d.Meta == (Metadata{}) {
		return nil
	}
	return (*socket.Control)(&d.Meta)
}

// A RawAddr is a socket address of a family that package net has no type for,
// among them netlink and packet: the bytes of the system's struct sockaddr,
// which begin with the family. ToNet and NetAddr take and return it.
type RawAddr struct{ Sockaddr []byte }

// Network returns "sockaddr".
func (a RawAddr) Network() string { return socket.RawAddr(a).Network() }

// String returns the bytes in hexadecimal.
func (a RawAddr) String() string { return socket.RawAddr(a).String() }

// Resolve looks up an address as [net.ResolveUDPAddr] does, for a network of
// "udp", "udp4" or "udp6": host names, IP addresses with or without zone, port
// numbers and service names. An empty host is the wildcard address. Among the
// addresses of a name IPv4 comes first unless the network is "udp6". It blocks
// until the name is resolved or ctx ends.
func Resolve(ctx context.Context, network, address string) (netip.AddrPort, error) {
	addr, err := resolve(ctx, socket.Kernel{}, network, address)
	if err != nil {
		return netip.AddrPort{}, lookupError(ctx, "resolve", network, err)
	}
	return addr, nil
}

// lookupError says what an address was looked up for, or why it was given up.
func lookupError(ctx context.Context, op, network string, err error) error {
	if ctx != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return &net.OpError{Op: op, Net: network, Err: err}
}

// resolve is Resolve for a handle on a network that may have names of its own.
func resolve(ctx context.Context, on socket.Network, network, address string) (netip.AddrPort, error) {
	if ctx == nil {
		return netip.AddrPort{}, syscall.EINVAL
	}
	family, ok := map[string]string{"udp": "ip", "udp4": "ip4", "udp6": "ip6"}[network]
	if !ok {
		return netip.AddrPort{}, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host == "" {
		wildcard := netip.IPv4Unspecified()
		if network == "udp6" {
			wildcard = netip.IPv6Unspecified()
		}
		return netip.AddrPortFrom(wildcard, uint16(port)), nil
	}
	ips, err := on.LookupNetIP(ctx, family, host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	best := ips[0].Unmap()
	for _, ip := range ips {
		if ip.Unmap().Is4() && !best.Is4() {
			best = ip.Unmap()
		}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		best = ip.Unmap() // with its zone, which LookupNetIP drops
	}
	return netip.AddrPortFrom(best, uint16(port)), nil
}

// unmap returns the address in its own family.
func unmap(addr netip.AddrPort) netip.AddrPort {
	if addr.Addr().Is4In6() {
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	}
	return addr
}
