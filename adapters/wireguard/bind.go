// Package wireguard lets wireguard-go send and receive through package datagram:
//
//	dev := device.NewDevice(tun, wireguard.NewBind(), logger)
package wireguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"example.com/datagram"
	"golang.zx2c4.com/wireguard/conn"
)

// bufferSize is the size of the system's buffers that wireguard-go requests for its own sockets, in
// bytes.
const bufferSize = 7 << 20

// A Bind is a [conn.Bind] whose datagrams go through a [datagram.Conn]. One
// handle serves IPv4 and IPv6, where the system's sockets can do that: OpenBSD's
// receive IPv4 only.
//
// Answers leave from the address that a peer has sent to. As with the Binds of
// wireguard-go, the source is forgotten when a handshake remains unanswered;
// only with its StdNetBind wireguard-go also watches the routing table.
type Bind struct {
	options []datagram.Option

	mu   sync.Mutex
	conn *datagram.Conn // nil while the Bind is closed
}

var _ conn.Bind = (*Bind)(nil)

// NewBind returns a Bind whose handles have the given options, besides system
// buffers as large as those that wireguard-go uses.
func NewBind(options ...datagram.Option) *Bind {
	buffers := []datagram.Option{datagram.WithReadBuffer(bufferSize), datagram.WithWriteBuffer(bufferSize)}
	return &Bind{options: append(buffers, options...)}
}

// Open implements [conn.Bind].
func (b *Bind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	c, err := datagram.Listen(context.Background(), "udp", ":"+strconv.Itoa(int(port)), b.options...)
	if err != nil {
		return nil, 0, err
	}
	b.conn = c
	return []conn.ReceiveFunc{receiveFunc(c.PacketConn())}, c.LocalAddr().Port(), nil
}

// Close implements [conn.Bind].
func (b *Bind) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn == nil {
		return nil
	}
	err := b.conn.PacketConn().Close() // sends what is queued
	b.conn = nil
	return err
}

// Conn returns the handle, or nil while the Bind is closed. Use it for
// statistics and settings, which last until wireguard-go opens the Bind again.
func (b *Bind) Conn() *datagram.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conn
}

// BatchSize implements [conn.Bind].
func (*Bind) BatchSize() int { return conn.IdealBatchSize }

// Send implements [conn.Bind]. It returns the system's errors. When the system
// has no room it queues the datagrams instead, and waits while the queue is full.
func (b *Bind) Send(bufs [][]byte, to conn.Endpoint) error {
	e, ok := to.(*endpoint)
	if !ok {
		return conn.ErrWrongEndpointType
	}
	c := b.Conn()
	if c == nil {
		return net.ErrClosed
	}
	ds := batches.Get().(*batch)
	defer ds.free(len(bufs))
	d := e.datagram()
	for i := range bufs {
		d.Payload = bufs[i]
		ds[i] = d
	}
	n, err := c.TrySendBatch(ds[:len(bufs)])
	if errors.Is(err, datagram.ErrWouldBlock) {
		_, err = c.SendBatch(context.Background(), ds[n:len(bufs)])
	}
	return err
}

// A batch is the scratch memory of Send and of a ReceiveFunc.
type batch [conn.IdealBatchSize]datagram.Datagram

var batches = sync.Pool{New: func() any { return new(batch) }}

// free drops the first n datagrams, which hold memory of others.
func (b *batch) free(n int) {
	clear(b[:n])
	batches.Put(b)
}

// ParseEndpoint implements [conn.Bind].
func (*Bind) ParseEndpoint(s string) (conn.Endpoint, error) {
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return nil, err
	}
	return &endpoint{to: datagram.To(addr, nil)}, nil
}
