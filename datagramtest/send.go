package datagramtest

import (
	"net/netip"
	"os"
	"syscall"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
)

// Send hands datagrams to the network, which always has room: one, or all if it is asked for batches.
func (e *endpoint) Send(ds []socket.Outgoing, _ bool) (int, error) {
	n := e.network
	n.lock()
	defer n.mu.Unlock()
	if !e.limits.Batch {
		ds = ds[:min(len(ds), 1)]
	}
	for i := range ds {
		if err := e.send(&ds[i]); err != nil {
			return i, err
		}
		n.advance()
		if i == 0 {
			e.counters.SendCalls.Add(1)
		}
	}
	return len(ds), nil
}

// send hands a datagram to the network. mu must be held.
func (e *endpoint) send(d *socket.Outgoing) error {
	if err := e.ended(); err != nil {
		return err
	}
	if err := e.refused("sendmsg"); err != nil {
		return err
	}
	if err := e.trySend(d); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	return nil
}

func (e *endpoint) trySend(d *socket.Outgoing) error {
	to := e.peer
	switch {
	case d.Name != nil:
		return syscall.EAFNOSUPPORT
	case d.Addr.IsValid():
		var err error
		if to, err = e.destination(d.Addr); err != nil {
			return err
		}
	case !to.IsValid():
		return syscall.EDESTADDRREQ
	}
	if to.Port() == 0 {
		return syscall.EINVAL
	}
	var control socket.Control
	if d.Control != nil {
		control = *d.Control
	}
	route, err := e.route(to.Addr(), control)
	if err != nil {
		return err
	}
	several := isSeveral(to.Addr())
	f := e.flow(route.from, to)
	if err := e.checkSize(f, len(d.Payload), several); err != nil {
		return err
	}
	p := packet{
		flow: f, sender: e, ifIndex: route.ifIndex,
		hopLimit: control.HopLimit, trafficClass: control.TrafficClass,
	}
	if p.hopLimit == 0 {
		p.hopLimit = e.options[socket.TTL]
		if to.Addr().IsMulticast() {
			p.hopLimit = e.options[socket.MulticastTTL]
		}
	}
	if p.trafficClass == 0 {
		p.trafficClass = uint8(e.options[socket.TrafficClass])
	}
	if several {
		e.sendToMembers(p, d.Payload)
	} else {
		e.network.transmit(p.with(d.Payload), f)
	}
	return nil
}

// isSeveral reports whether an address is that of a group or of everybody.
func isSeveral(addr netip.Addr) bool { return addr.IsMulticast() || addr == broadcast }

// flow returns the flow of what the endpoint sends from an address to another. mu must be held.
func (e *endpoint) flow(from netip.Addr, to netip.AddrPort) flow {
	f := flow{from: netip.AddrPortFrom(from, e.local.Port()), to: to}
	if to.Addr().IsLoopback() {
		f.host = e.host.addrs[0]
	}
	return f
}

// destination returns an address to send to in plain form. mu must be held.
func (e *endpoint) destination(addr netip.AddrPort) (netip.AddrPort, error) {
	addr = plainPort(addr)
	ip := addr.Addr()
	switch {
	case !e.serves(ip):
		return addr, syscall.EAFNOSUPPORT
	case ip.IsUnspecified():
		return netip.AddrPortFrom(loopback(ip), addr.Port()), nil
	case ip == broadcast && e.options[socket.Broadcast] == 0:
		return addr, syscall.EACCES
	}
	return addr, nil
}

// A route is how a datagram leaves.
type route struct {
	from    netip.Addr
	ifIndex int // of the receiver
}

// route finds the way to an address. mu must be held.
func (e *endpoint) route(to netip.Addr, c socket.Control) (route, error) {
	several, local := isSeveral(to), e.host.has(to)
	r := route{from: plain(c.Local), ifIndex: c.IfIndex}
	if r.ifIndex == 0 {
		r.ifIndex = e.device
	}
	if r.ifIndex == 0 && to.IsMulticast() {
		r.ifIndex = e.options[socket.MulticastInterface]
	}
	switch r.ifIndex {
	case 0:
		r.ifIndex = networkIndex
		if local {
			r.ifIndex = loopbackIndex
		}
	case loopbackIndex:
		if !several && !local {
			return r, syscall.ENETUNREACH
		}
	case networkIndex:
	default:
		return r, syscall.ENODEV
	}

	switch {
	case r.from.IsValid():
		if !e.host.has(r.from) {
			if r.from.Is4() {
				return r, syscall.ENETUNREACH
			}
			return r, syscall.EINVAL
		}
	case !e.isWildcard():
		r.from = e.local.Addr()
	case e.source.IsValid() && e.source.Is4() == to.Is4():
		r.from = e.source
	case to.IsLoopback() || several && r.ifIndex == loopbackIndex:
		r.from = loopback(to)
	case local:
		r.from = to
	default:
		r.from = e.host.source(to)
	}
	switch {
	case r.from.Is4() != to.Is4():
		return r, syscall.ENETUNREACH
	case r.from.IsLoopback() && r.ifIndex == networkIndex && !local:
		return r, syscall.EINVAL
	}
	return r, nil
}

// source returns the address from which the host sends to another, or the zero Addr.
func (h *Host) source(to netip.Addr) netip.Addr {
	for _, addr := range h.addrs {
		if addr.Is4() == to.Is4() {
			return addr
		}
	}
	return netip.Addr{}
}

// unlimitedMTU is the MTU of a link without: no UDP datagram is longer.
const unlimitedMTU = 65575

// checkSize checks whether a payload fits a datagram and the path. Of a datagram to several the sender
// knows no path. mu must be held.
func (e *endpoint) checkSize(f flow, size int, several bool) error {
	limit := batch.MaxPayload4
	if f.to.Addr().Is6() {
		limit = batch.MaxPayload6
	}
	if size > limit {
		return syscall.EMSGSIZE
	}
	link := e.network.link(f.from.Addr(), f.to.Addr())
	if several || link.fits(f.to.Addr(), size) {
		return nil
	}
	if e.limits.NetworkErrors {
		e.told(socket.NetworkError{Dst: zoned(f.to), MTU: link.MTU, Errno: syscall.EMSGSIZE})
	}
	return syscall.EMSGSIZE
}
