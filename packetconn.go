package datagram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/deadline"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/wire"
)

// A PacketConn is a handle as libraries take it: a [net.PacketConn] and a
// [net.Conn]. See [Conn.PacketConn].
type PacketConn struct{ *adapter }

// An adapter is what the PacketConn and the UDPConn of a handle share.
type adapter struct {
	conn      *Conn
	packet    PacketConn
	udp       UDPConn
	closed    atomic.Bool
	reading   deadline.Deadline
	writing   deadline.Deadline
	sources   replySources
	addresses atomic.Pointer[addresses]
}

// PacketConn returns the handle as a [net.PacketConn] and [net.Conn], for
// libraries that take one. It is the same each time, and may be called before
// there is a socket: reading and writing create it as Recv and Send do.
//
// Reads take datagrams in the order in which the system delivers them. From the
// first read on, the handle is receiving, and [Conn.Recv] and [Conn.Serve] fail
// with EALREADY, as a read does beside one of them. [Conn.StopRecv] ends that:
// waiting reads return ECANCELED, and what was received and not read comes first
// to whoever receives next. Several goroutines may read; each datagram goes to
// one of them. [WithRecvQueue] has no effect on reads.
//
// Writes copy the datagram into the send queue, and wait for room until the
// write deadline. A write that sends its datagram at once returns the system's
// error; those of queued datagrams go to the function set by
// [WithErrorHandler]. A payload that is too long for UDP fails with EMSGSIZE,
// and an address of a family that the socket does not have with EAFNOSUPPORT.
// While there is more to read, writes are held back: they leave with the first
// write after the last datagram is read, when a read waits, or after a few
// milliseconds at the latest.
//
// On a connected handle, a refusal by the peer's host is returned once, as
// ECONNREFUSED, by the next read or a later write. On an unconnected handle that
// is bound to a wildcard address, writes to a peer leave from the address to
// which that peer last sent a unicast datagram, and writes to a link-local peer
// by the interface that its last datagram arrived on. That holds for at least
// the last 2,048 peers.
//
// Batches may outrun the system's receive buffer. Give both ends a larger one:
// see [WithReadBuffer].
func (c *Conn) PacketConn() *PacketConn { return &c.adapt().packet }

// adapt returns the adapter, which it creates the first time.
func (c *Conn) adapt() *adapter {
	if a := c.adapter.Load(); a != nil {
		return a
	}
	a := &adapter{conn: c}
	a.packet.adapter, a.udp.adapter = a, a
	a.reading.Passed = c.recv.readDeadline
	c.adapter.CompareAndSwap(nil, a)
	return c.adapter.Load()
}

// ReadFrom reads a datagram into p and returns its size and its sender. What
// does not fit into p is lost.
func (a *adapter) ReadFrom(p []byte) (int, net.Addr, error) {
	var d [1]Datagram
	n, err := a.read(p, &d)
	if err != nil {
		return 0, nil, err
	}
	return n, d[0].NetAddr(), nil
}

// ReadFromUDPAddrPort is ReadFrom without an allocation. An IPv4 sender is never
// mapped into IPv6.
func (a *adapter) ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error) {
	var d [1]Datagram
	n, err := a.read(p, &d)
	return n, d[0].Addr, err
}

// ReadFromAddrPort is ReadFromUDPAddrPort.
func (a *adapter) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	return a.ReadFromUDPAddrPort(p)
}

// Read is ReadFrom without the sender. Into an empty p it reads nothing and
// returns at once, as [net.UDPConn.Read] does.
func (a *adapter) Read(p []byte) (int, error) {
	if len(p) == 0 && !a.closed.Load() && !a.conn.closed.Load() {
		return 0, nil
	}
	var d [1]Datagram
	return a.read(p, &d)
}

// read sets d to the next datagram, whose payload it moves to p.
func (a *adapter) read(p []byte, d *[1]Datagram) (int, error) {
	if p == nil {
		p = []byte{}
	}
	if _, err := a.take(d[:], p); err != nil {
		return 0, err
	}
	return len(d[0].Payload), nil
}

// ReadDatagrams waits for a datagram until the read deadline, and puts it into
// ds with those that the system has returned with it, as many as there is room
// for; the next read begins with the others. It returns how many it read: at
// least one, or 0 and the error that ReadFrom would return. With an empty ds it
// returns at once.
//
// Unlike those of other reads, the payloads are not copied and not truncated,
// unless by [WithMaxDatagramSize]. They are lent to the caller, who may keep them
// until [Datagram.Release].
func (a *adapter) ReadDatagrams(ds []Datagram) (int, error) {
	if len(ds) == 0 {
		return 0, nil
	}
	return a.take(ds, nil)
}

// take waits for datagrams. If p is not nil, it moves the payload of the only one there.
func (a *adapter) take(ds []Datagram, p []byte) (int, error) {
	n, err := 0, net.ErrClosed
	if !a.closed.Load() {
		n, err = a.conn.recv.take(ds, p, &a.reading)
	}
	if err != nil {
		if a.closed.Load() { // meanwhile
			err = net.ErrClosed
		}
		return 0, a.conn.opError("read", a.RemoteAddr(), err)
	}
	for i := range ds[:n] {
		if i == 0 || !ds[i].repliesLike(&ds[i-1]) { // datagrams mostly come in runs from one peer
			a.sources.note(&ds[i])
		}
	}
	return n, nil
}

// WriteTo sends p as a datagram. addr must be a [*net.UDPAddr], unless the
// handle's socket is not UDP. On a connected handle it fails with
// [net.ErrWriteToConnected].
func (a *adapter) WriteTo(p []byte, addr net.Addr) (int, error) {
	d := ToNet(addr, p)
	if _, ok := addr.(*net.UDPAddr); !ok || d.name != nil {
		if s := a.conn.socket(); addr == nil || s == nil || s.info.UDP {
			return 0, a.conn.opError("write", addr, a.foreign())
		}
	}
	return a.write(&d, nil, true)
}

// foreign returns the error for an address that the socket cannot have.
func (a *adapter) foreign() error {
	if a.closed.Load() {
		return net.ErrClosed
	}
	return a.conn.argumentError("not an address for this socket")
}

// WriteToUDPAddrPort is WriteTo without an allocation.
func (a *adapter) WriteToUDPAddrPort(p []byte, addr netip.AddrPort) (int, error) {
	return a.write(&Datagram{Payload: p, Addr: addr}, nil, true)
}

// WriteToAddrPort is WriteToUDPAddrPort.
func (a *adapter) WriteToAddrPort(p []byte, addr netip.AddrPort) (int, error) {
	return a.WriteToUDPAddrPort(p, addr)
}

// Write sends p as a datagram to the peer of a connected handle.
func (a *adapter) Write(p []byte) (int, error) { return a.write(&Datagram{Payload: p}, nil, false) }

// write sends d with the given control messages. named says that the caller names a destination, as is
// wrong on a connected handle.
func (a *adapter) write(d *Datagram, oob []byte, named bool) (int, error) {
	if err := a.send(d, oob, named); err != nil {
		if errors.Is(err, context.Canceled) {
			err = os.ErrDeadlineExceeded
		}
		return 0, a.conn.sendError(d, err)
	}
	return len(d.Payload), nil
}

func (a *adapter) send(d *Datagram, oob []byte, named bool) error {
	c, until := a.conn, a.writing.Context()
	switch {
	case a.closed.Load():
		return net.ErrClosed
	case until.Err() != nil:
		return until.Err()
	}
	if c.peer.Load() != nil {
		if named {
			return net.ErrWriteToConnected
		}
		if err := c.recv.takeRefusal(); err != nil {
			return err
		}
	}
	segment := 0
	if len(oob) > 0 {
		control, size, err := wire.ParseRequest(oob)
		if errors.Is(err, syscall.EINVAL) {
			return c.argumentError("control messages")
		}
		if err != nil {
			return err
		}
		d.Meta, segment = Metadata(control), size
	}
	to, s, err := c.destination(until, d)
	d.Addr = to
	if err != nil {
		return err
	}
	if s.info.UDP {
		switch v4 := to.Addr().Is4(); {
		case v4 && s.info.Family == socket.IPv6, !v4 && s.info.Family == socket.IPv4:
			return syscall.EAFNOSUPPORT
		case d.Meta.Local.IsValid() && d.Meta.Local.Is4() != v4:
			return invalid("source of another family")
		case len(d.Payload) > batch.MaxPayload(to.Addr()):
			return syscall.EMSGSIZE
		}
	}
	if !d.Meta.Local.IsValid() && d.Meta.IfIndex == 0 {
		a.sources.choose(d)
	}
	return c.send.Write(until, &socket.Outgoing{Payload: d.Payload, Addr: to, Name: d.name}, d.Meta.control(), segment)
}

// closeTimeout is how long Close waits for datagrams that are queued.
const closeTimeout = time.Second

// Close closes the handle. Reads and writes in progress fail with
// [net.ErrClosed]. Datagrams that were written are sent first; Close waits at
// most a second for that. Received datagrams that nobody has read are counted in
// [Stats].CloseDrops.
func (a *adapter) Close() error {
	c := a.conn
	if a.closed.Swap(true) {
		return c.opError("close", nil, net.ErrClosed)
	}
	c.recv.stopReading()
	a.reading.Set(time.Time{})
	a.writing.Set(time.Time{})
	c.send.Refuse()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.send.Flush(ctx, false) // what is not sent in time fails
	return c.Close()
}

// SetDeadline sets the read and the write deadline.
func (a *adapter) SetDeadline(t time.Time) error { return a.setDeadline(t, &a.reading, &a.writing) }

// SetReadDeadline sets the time after which reads, including those that wait
// already, fail with an error that matches [os.ErrDeadlineExceeded], and lose
// no datagram. The zero time means never.
func (a *adapter) SetReadDeadline(t time.Time) error { return a.setDeadline(t, &a.reading) }

// SetWriteDeadline sets the time after which writes, including those that wait
// for room in the send queue, fail with an error that matches
// [os.ErrDeadlineExceeded]. The zero time means never.
func (a *adapter) SetWriteDeadline(t time.Time) error { return a.setDeadline(t, &a.writing) }

func (a *adapter) setDeadline(t time.Time, deadlines ...*deadline.Deadline) error {
	if a.closed.Load() || a.conn.closed.Load() {
		return a.conn.opError("set", nil, net.ErrClosed)
	}
	for _, d := range deadlines {
		d.Set(t)
	}
	return nil
}

// SetReadBuffer is [Conn.SetReadBuffer].
func (a *adapter) SetReadBuffer(bytes int) error { return a.conn.SetReadBuffer(bytes) }

// SetWriteBuffer is [Conn.SetWriteBuffer].
func (a *adapter) SetWriteBuffer(bytes int) error { return a.conn.SetWriteBuffer(bytes) }

// SyscallConn is [Conn.SyscallConn]. Deadlines do not end its waits. While the
// system coalesces received datagrams, the Read method of the result fails with
// [errors.ErrUnsupported], since it would return several of them glued together;
// with [OffloadBatch] the system does not.
func (a *adapter) SyscallConn() (syscall.RawConn, error) {
	raw, err := a.conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if s := a.conn.socket(); s.Features().Coalesce.Active {
		return coalescingConn{raw, a.conn}, nil
	}
	return raw, nil
}

// A coalescingConn is a raw connection that would read several datagrams as one.
type coalescingConn struct {
	syscall.RawConn
	conn *Conn
}

func (c coalescingConn) Read(func(fd uintptr) bool) error {
	return c.conn.opError("raw-read", nil, errors.ErrUnsupported)
}

// addresses are those of a handle as package net has them. Libraries ask for
// them often, and to ask the system takes microseconds.
type addresses struct {
	socket        *openSocket
	peer          *netip.AddrPort
	local, remote net.Addr
}

// LocalAddr returns the address that the handle is bound to, as a
// [*net.UDPAddr]. Without one it is the zero UDPAddr.
func (a *adapter) LocalAddr() net.Addr { return a.addrs().local }

// RemoteAddr returns the peer of a connected handle, as a [*net.UDPAddr], or
// nil.
func (a *adapter) RemoteAddr() net.Addr { return a.addrs().remote }

func (a *adapter) addrs() *addresses {
	c := a.conn
	s, peer := c.socket(), c.peer.Load()
	if known := a.addresses.Load(); known != nil && (known.socket == s && known.peer == peer || c.closed.Load()) {
		return known
	}
	now := &addresses{socket: s, peer: peer, local: &net.UDPAddr{}}
	if peer != nil {
		now.remote = net.UDPAddrFromAddrPort(*peer)
	}
	if local := c.LocalAddr(); local.IsValid() {
		now.local = net.UDPAddrFromAddrPort(local)
		a.addresses.Store(now)
	}
	return now
}
