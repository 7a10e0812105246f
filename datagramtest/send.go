package datagramtest

import (
	"cmp"
	"net/netip"
	"os"
	"syscall"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/socket"
)

// Send passes datagrams to the network, which always has room.
func (e *endpoint) Send(ds []socket.Outgoing, _ bool) (int, error) {
	n := e.network
	n.lock()
	defer n.mu.Unlock()
	ds = ds[:min(len(ds), e.features.SendMessages)]
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

// send passes a datagram to the network. mu must be held.
func (e *endpoint) send(d *socket.Outgoing) error {
	if err := e.ended(); err != nil {
		return err
	}
	e.meet(e.refused("sendmsg"))
	if err := e.trySend(d); err != nil {
		return os.NewSyscallError("sendmsg", err)
	}
	return nil
}

func (e *endpoint) trySend(d *socket.Outgoing) error {
	if d.Name != nil {
		return syscall.EAFNOSUPPORT
	}
	var control socket.Control
	if d.Control != nil {
		control = *d.Control
	}
	to, err := e.destination(d.Addr, &control)
	if err != nil {
		return err
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
	if keep := e.network.keep; keep != nil {
		p.filtered = !keep(f.from, f.to, d.Payload)
	}
	if several {
		e.sendToMembers(p, d.Payload)
	} else {
		e.network.transmit(p.with(d.Payload), f)
	}
	return nil
}

// destination returns the destination of a datagram sent to addr, or to the peer without one. It
// checks addr and c as Linux does in udp_sendmsg and udpv6_sendmsg. mu must be held.
func (e *endpoint) destination(addr netip.AddrPort, c *socket.Control) (netip.AddrPort, error) {
	to := e.peer
	if addr.IsValid() {
		var zone int
		var err error
		if to, zone, err = resolve(addr); err != nil {
			return to, err
		}
		c.IfIndex = cmp.Or(c.IfIndex, zone)
	}
	switch ip := to.Addr(); {
	case !ip.IsValid():
		return to, syscall.EDESTADDRREQ
	case e.family == socket.IPv4 && ip.Is6(), c.Local.IsValid() && plain(c.Local).Is4() != ip.Is4():
		return to, syscall.EAFNOSUPPORT
	case !e.serves(ip):
		return to, syscall.ENETUNREACH
	case to.Port() == 0:
		return to, syscall.EINVAL
	case ip == broadcast && e.options[socket.Broadcast] == 0:
		return to, syscall.EACCES
	}
	return to, nil
}

// isSeveral reports whether an address is a multicast or broadcast address.
func isSeveral(addr netip.Addr) bool { return addr.IsMulticast() || addr == broadcast }

// flow returns the endpoint's flow between two addresses. mu must be held.
func (e *endpoint) flow(from netip.Addr, to netip.AddrPort) flow {
	f := flow{from: netip.AddrPortFrom(from, e.local.Port()), to: to}
	if to.Addr().IsLoopback() {
		f.host = e.host.addrs[0]
	}
	return f
}

// unlimitedMTU is the MTU of a link without a limit: no UDP datagram is longer.
const unlimitedMTU = 65575

// checkSize checks whether a payload fits a datagram and the path. For multicast and broadcast the
// sender does not know the path. mu must be held.
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
