package datagram

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"golang.org/x/net/ipv4"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/wire"
)

// A UDPConn is a [PacketConn] with the methods of [net.UDPConn] that exchange
// control messages. See [Conn.UDPConn].
type UDPConn struct{ *adapter }

// UDPConn returns the handle for libraries that use control messages, such as
// quic-go. It shares everything with [Conn.PacketConn], and follows the same
// rules. Use PacketConn for other libraries: some take whatever has the methods
// of UDPConn for a [net.UDPConn], and use its descriptor.
//
// On Linux, reads return control messages in the system's layout: the traffic
// class (IP_TOS, IPV6_TCLASS) and, if it is known, the address that the datagram
// was sent to (IP_PKTINFO, IPV6_PKTINFO). For that UDPConn requests
// [MetaTrafficClass]. Only whole messages are returned, and MSG_CTRUNC if there
// was no room for one. There is no UDP_GRO, since reads return single datagrams.
//
// Writes accept the same control messages, and UDP_SEGMENT: the payload is then
// a run of datagrams of that size, which enters the send queue as a whole.
// Other control messages fail with EINVAL. On systems other than Linux, reads
// return no control messages, and writes with some fail with
// [errors.ErrUnsupported].
func (c *Conn) UDPConn() *UDPConn {
	if wire.KnowsMessages {
		_ = c.set(socket.ReceiveTrafficClass, 1) // a socket that is not of UDP has none
	}
	return &c.adapt().udp
}

// ReadFromUDP is ReadFrom for UDP addresses.
func (c *UDPConn) ReadFromUDP(p []byte) (int, *net.UDPAddr, error) {
	n, addr, err := c.ReadFromUDPAddrPort(p)
	return n, udpAddr(addr), err
}

// WriteToUDP is WriteTo for UDP addresses.
func (c *UDPConn) WriteToUDP(p []byte, addr *net.UDPAddr) (int, error) {
	return c.WriteTo(p, addr)
}

// ReadMsgUDP reads a datagram into b and its control messages into oob, and
// returns how many bytes it wrote to each, the flags MSG_TRUNC and MSG_CTRUNC,
// and the sender.
func (c *UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(b, oob)
	return n, oobn, flags, udpAddr(from), err
}

// ReadMsgUDPAddrPort is ReadMsgUDP without an allocation.
func (c *UDPConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	var d [1]Datagram
	n, err = c.read(b, &d)
	if err != nil {
		return 0, 0, 0, netip.AddrPort{}, err
	}
	oobn, flags = d[0].messages(oob)
	return n, oobn, flags | d[0].truncation(n), d[0].Addr, nil
}

// WriteMsgUDP sends b as a datagram, or as a run of them, with the control
// messages in oob. On a connected handle addr must be nil.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	d := ToNet(addr, b)
	if d.name != nil { // no socket can have that address
		return 0, 0, c.conn.opError("write", addr, c.foreign())
	}
	return c.writeMsg(&d, oob)
}

// WriteMsgUDPAddrPort is WriteMsgUDP without an allocation. On a connected
// handle addr must be zero.
func (c *UDPConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	return c.writeMsg(&Datagram{Payload: b, Addr: addr}, oob)
}

func (c *UDPConn) writeMsg(d *Datagram, oob []byte) (n, oobn int, err error) {
	if n, err = c.write(d, oob, d.Addr.IsValid()); err != nil {
		return 0, 0, err
	}
	return n, len(oob), nil
}

// ReadBatch waits for a datagram, and reads as many as there are then and as ms
// has messages. It returns how many it read. The only flag is MSG_WAITFORONE,
// which changes nothing.
func (c *UDPConn) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	if flags&^wire.WaitForOne != 0 {
		return 0, c.conn.opError("read", nil, errors.ErrUnsupported)
	}
	if len(ms) == 0 {
		return 0, nil
	}
	batch := batches.Get().(*batchSlice)
	defer batch.free()
	batch.datagrams = slices.Grow(batch.datagrams, len(ms))[:len(ms)]
	n, err := c.take(batch.datagrams, nil)
	for i := range n {
		d, m := &batch.datagrams[i], &ms[i]
		m.N = scatter(m.Buffers, d.Payload)
		m.NN, m.Flags = d.messages(m.OOB)
		m.Flags |= d.truncation(m.N)
		m.Addr = d.NetAddr()
		d.Release()
	}
	return n, err
}

// scatter copies a payload into several pieces of memory.
func scatter(bufs [][]byte, payload []byte) (n int) {
	for _, b := range bufs {
		n += copy(b, payload[n:])
	}
	return n
}

// messages writes the control messages of a received datagram to oob. It returns
// their length, and MSG_CTRUNC if oob was meant to hold some and has no room.
func (d *Datagram) messages(oob []byte) (n, flags int) {
	if len(oob) == 0 || !d.Addr.IsValid() {
		return 0, 0
	}
	b, fit := wire.AppendMessages(oob[:0:len(oob)], (*wire.Control)(&d.Meta), d.Addr.Addr().Is4(), d.elsewhere)
	if !fit {
		flags = wire.ControlTruncated
	}
	return len(b), flags
}

// truncation returns MSG_TRUNC if more than the first n bytes were sent.
func (d *Datagram) truncation(n int) int {
	if n < len(d.Payload) || d.Partial {
		return wire.Truncated
	}
	return 0
}

// udpAddr returns an address as package net has it, nil for none.
func udpAddr(addr netip.AddrPort) *net.UDPAddr {
	if !addr.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(addr)
}
