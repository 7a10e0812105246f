package datagram

import (
	"bytes"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/systems"
)

// A Datagram is one message, received or to be sent, with its address.
//
// The payload of a received datagram is lent: it is valid until
// [Datagram.Release], which returns the memory for use by later datagrams. A
// Datagram that is never released stays valid and costs the garbage collector
// as much as any other allocation. Copies of a Datagram share its payload;
// releasing one releases all.
type Datagram struct {
	// Payload is the message, without any header. It may be empty. Its capacity
	// equals its length, so append copies.
	Payload []byte

	// Addr is the sender of a received datagram and the destination of one to
	// send. It is zero when sending to the peer of a connected handle, and for
	// addresses outside the Internet families: see [Datagram.NetAddr] and
	// [ToNet]. An IPv4 address is never mapped into IPv6. The zone of a
	// received address is the interface's name, which may be up to a minute out
	// of date.
	Addr netip.AddrPort

	// Partial reports that the datagram was longer than the handle receives
	// (see [WithMaxDatagramSize]), and that the system has discarded the rest.
	// libuv calls it UV_UDP_PARTIAL.
	Partial bool

	connected bool // received on a connected handle
	elsewhere bool // sent to a broadcast or multicast address

	// Meta holds what else is known of a received datagram, or requested for
	// one to send.
	Meta Metadata

	lease buffer.Lease
	name  *socket.Name
}

// Metadata describes a datagram apart from its payload and address.
//
// In a received datagram the fields that [WithMetadata] asks for are set, and
// zero means unknown. In a datagram to send, zero means the socket's default.
// Fields that the system cannot set make the send fail with
// errors.ErrUnsupported: all on Windows, HopLimit over IPv4 on macOS and the
// BSDs, TrafficClass over IPv4 on NetBSD and OpenBSD, and IfIndex over IPv4
// without Local on the BSDs.
type Metadata struct {
	// Local is the address that a received datagram was sent to, which may be a
	// multicast or broadcast address, or the address to send from. Sending from
	// an address that is not unicast or not the host's fails with the system's
	// error.
	Local netip.Addr
	// IfIndex is the index of the interface that a datagram arrived on or must
	// leave by. Without Local, the datagram leaves from the address that the
	// handle is bound to if that can be a source, and otherwise from one of the
	// interface's.
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

// check returns an error if a field is not in the range that a send accepts.
func (m *Metadata) check() error {
	if err := checkRange("hop limit", m.HopLimit, 0, math.MaxUint8); err != nil {
		return err
	}
	return checkRange("interface index", m.IfIndex, 0, math.MaxInt32)
}

// ECN returns the lower two bits of the traffic class.
func (m Metadata) ECN() ECN { return ECN(m.TrafficClass & 3) }

// To returns a Datagram to send to addr. It does not copy the payload.
func To(addr netip.AddrPort, payload []byte) Datagram {
	return Datagram{Addr: addr, Payload: payload}
}

// ToNet returns a Datagram to send to an address of any family: a
// [*net.UDPAddr], [*net.IPAddr], [*net.UnixAddr] or [RawAddr], or a result of
// [Datagram.NetAddr]. A nil addr means the connected peer. ToNet does not copy
// the payload.
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
			d.name = &socket.Name{Addr: addr} // fails when sent: no such family
		}
	}
	return d
}

// setAddr sets the destination to an Internet address of package net. The zero
// value means no destination. An address that no socket can have is kept, and
// fails when sent.
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

// NetAddr returns the sender or destination as a net.Addr: a [*net.UDPAddr], a
// [*net.UnixAddr], or a [RawAddr] for a family that package net does not know.
// It returns nil if there is no address, as for an unnamed Unix socket. NetAddr
// allocates.
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

// String describes the datagram in one line, without the payload: its address,
// its local address if known, its length, and whether it is partial.
func (d Datagram) String() string {
	s := "no address"
	if addr := d.NetAddr(); addr != nil {
		s = addr.String()
	}
	if d.Meta.Local.IsValid() {
		s += ", local " + d.Meta.Local.String()
	}
	s += ", " + strconv.Itoa(len(d.Payload)) + " byte"
	if len(d.Payload) != 1 {
		s += "s"
	}
	if d.Partial {
		s += ", partial"
	}
	return s
}

// Release returns the payload's memory; the caller must not use Payload
// afterwards. Calling Release is optional. Releasing a datagram again, a copy
// of it, or a datagram that was not received does nothing. Release may be
// called from any goroutine, even after the handle is closed.
//
// In programs built with -race, Release overwrites the payload with 0xDB bytes
// and does not use its memory again, so that a program which uses a released
// payload fails early.
func (d Datagram) Release() { d.lease.Release(d.Payload) }

// Clone returns a copy of d with its own memory, which stays valid when d is
// released.
func (d Datagram) Clone() Datagram {
	d.Payload = bytes.Clone(d.Payload)
	d.lease = buffer.Lease{}
	return d
}

// detach moves the payload of a received datagram to memory that it shares with
// no other, lent until Release.
func (d *Datagram) detach() {
	chunk := buffer.Get(len(d.Payload))
	n := copy(chunk.Bytes, d.Payload)
	d.Release()
	chunk.Lend(1)
	d.Payload, d.lease = chunk.Bytes[:n:n], chunk.Lease(0)
}

// moveTo moves the payload of a received datagram to p. What does not fit is lost.
func (d *Datagram) moveTo(p []byte) {
	n := copy(p, d.Payload)
	d.Partial = d.Partial || n < len(d.Payload)
	d.Release()
	d.Payload, d.lease = p[:n:n], buffer.Lease{}
}

// Reply returns a Datagram to send back to the sender of d. It leaves from the
// address that d was sent to, if that is known and can be a source. The address
// is known by default for handles bound to a wildcard address: see
// [WithMetadata]. A reply to a link-local sender leaves by the interface that d
// arrived on. A reply to a datagram received on a connected handle has no
// address, since it goes to the peer. Reply does not copy the payload.
//
// Strangers choose the address of the sender, so that sending a reply may fail,
// for example with EINVAL for port 0. A server should go on.
func (d Datagram) Reply(payload []byte) Datagram {
	reply := Datagram{Payload: payload}
	if d.connected { // the source is settled too
		return reply
	}
	reply.Addr, reply.name = d.Addr, d.name
	// A group's address cannot be a source.
	if local := d.Meta.Local; !d.elsewhere && !local.IsMulticast() {
		reply.Meta.Local = local
	}
	// Routing selects the interface, except where an address is meaningless
	// without one (RFC 3927 section 1.1, RFC 4007) and the system lets a
	// datagram name it.
	linkLocal := d.Addr.Addr().IsLinkLocalUnicast() || reply.Meta.Local.IsLinkLocalUnicast()
	if linkLocal && (systems.SendInterface.IPv4.Here() || d.Addr.Addr().Is6() || reply.Meta.Local.IsValid()) {
		reply.Meta.IfIndex = d.Meta.IfIndex
	}
	return reply
}

// repliesLike reports whether replies to two received datagrams differ in nothing
// but payload.
func (d *Datagram) repliesLike(other *Datagram) bool {
	return d.Addr == other.Addr && d.Meta.Local == other.Meta.Local && d.Meta.IfIndex == other.Meta.IfIndex &&
		d.name == other.name && d.elsewhere == other.elsewhere && d.connected == other.connected
}

// control returns what to ask of the system, or nil for nothing. The result is m
// itself, without the receive time: that cannot be asked for and would keep
// neighbours from leaving together.
func (m *Metadata) control() *socket.Control {
	if !m.asks() {
		return nil
	}
	m.Time = time.Time{}
	return (*socket.Control)(m)
}

// asks reports whether there is something to ask of the system.
func (m *Metadata) asks() bool {
	return m.HopLimit != 0 || m.TrafficClass != 0 || m.IfIndex != 0 || m.Local != (netip.Addr{})
}

// A RawAddr is a socket address of a family that package net has no type for,
// such as netlink or packet. It holds the bytes of the system's struct
// sockaddr, which begin with the family. [ToNet] accepts it, and
// [Datagram.NetAddr] returns it.
type RawAddr struct{ Sockaddr []byte }

// Network returns "sockaddr".
func (a RawAddr) Network() string { return socket.RawAddr(a).Network() }

// String returns the bytes in hexadecimal.
func (a RawAddr) String() string { return socket.RawAddr(a).String() }

// unmap returns the address in its own family.
func unmap(addr netip.AddrPort) netip.AddrPort {
	if addr.Addr().Is4In6() {
		return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	}
	return addr
}
