// Package memberlist lets memberlist gossip through package datagram:
//
//	transport, err := memberlist.NewTransport(ctx, config.BindAddr, config.BindPort)
//	if err != nil {
//		return err
//	}
//	config.Transport = transport
package memberlist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/memberlist"

	"example.com/datagram"
)

// readBuffer is the size of the receive buffer that memberlist requests for its own sockets, in bytes.
const readBuffer = 2 << 20

// A Transport is a [memberlist.NodeAwareTransport]. Packets go through a
// [datagram.Conn], and carry the time at which the system received them, from
// which memberlist estimates round trips. Streams use TCP, on the same port.
type Transport struct {
	conn    *datagram.Conn
	streams *net.TCPListener

	packetCh chan *memberlist.Packet
	streamCh chan net.Conn
	done     chan struct{} // closed by Shutdown
	shutdown func() error
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// NewTransport returns a Transport that is bound to an address and port; port 0
// lets the system choose. The handle has the given options, besides a receive
// buffer as large as memberlist's own.
func NewTransport(ctx context.Context, addr string, port int, options ...datagram.Option) (*Transport, error) {
	options = append([]datagram.Option{datagram.WithReadBuffer(readBuffer), datagram.WithMetadata(datagram.MetaTime)}, options...)
	conn, streams, err := listen(ctx, addr, port, options)
	if err != nil {
		return nil, err
	}
	t := &Transport{
		conn: conn, streams: streams,
		packetCh: make(chan *memberlist.Packet), streamCh: make(chan net.Conn), done: make(chan struct{}),
	}
	var running sync.WaitGroup
	var failed error // why receiving ended
	running.Go(t.accept)
	running.Go(func() { failed = conn.Serve(context.Background(), t.receive) })
	t.shutdown = sync.OnceValue(func() error {
		close(t.done)
		err := errors.Join(conn.Close(), streams.Close())
		running.Wait()
		if errors.Is(failed, net.ErrClosed) {
			failed = nil
		}
		return cmp.Or(failed, err)
	})
	return t, nil
}

// maxTries is how many ports listen tries if the system may choose. So does memberlist's own transport.
const maxTries = 10

// listen listens on a port for both packets and streams.
func listen(ctx context.Context, addr string, port int, options []datagram.Option) (*datagram.Conn, *net.TCPListener, error) {
	for try := 1; ; try++ {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(addr, strconv.Itoa(port)))
		if err != nil {
			return nil, nil, err
		}
		chosen := listener.Addr().(*net.TCPAddr).Port
		conn, err := datagram.Listen(ctx, "udp", net.JoinHostPort(addr, strconv.Itoa(chosen)), options...)
		if err == nil {
			return conn, listener.(*net.TCPListener), nil
		}
		defer listener.Close() // not before the system has chosen another port
		if port != 0 || !errors.Is(err, syscall.EADDRINUSE) || try == maxTries {
			return nil, nil, err
		}
	}
}

// Conn returns the handle that packets go through, for statistics and settings.
func (t *Transport) Conn() *datagram.Conn { return t.conn }

// receive passes on a packet, which memberlist may keep.
func (t *Transport) receive(d datagram.Datagram) {
	defer d.Release()
	if len(d.Payload) == 0 { // not a message
		return
	}
	p := &memberlist.Packet{Buf: d.Clone().Payload, From: d.NetAddr(), Timestamp: d.Meta.Time}
	if p.Timestamp.IsZero() { // the system does not tell
		p.Timestamp = time.Now()
	}
	select {
	case t.packetCh <- p:
	case <-t.done:
	}
}

// acceptPause is the pause after an error such as EMFILE, which may last.
const acceptPause = 100 * time.Millisecond

// accept passes on streams until the listener is closed.
func (t *Transport) accept() {
	for {
		stream, err := t.streams.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			select {
			case <-time.After(acceptPause):
			case <-t.done:
			}
			continue
		}
		select {
		case t.streamCh <- stream:
		case <-t.done:
			stream.Close()
		}
	}
}

// PacketCh implements [memberlist.Transport].
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packetCh }

// StreamCh implements [memberlist.Transport].
func (t *Transport) StreamCh() <-chan net.Conn { return t.streamCh }

// WriteTo implements [memberlist.Transport].
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress implements [memberlist.NodeAwareTransport].
func (t *Transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	to, err := datagram.Resolve(context.Background(), "udp", addr.Addr)
	if err != nil {
		return time.Time{}, err
	}
	d := datagram.To(to, b)
	if _, err = t.conn.TrySend(d); errors.Is(err, datagram.ErrWouldBlock) {
		err = t.conn.Send(context.Background(), d)
	}
	return time.Now(), err
}

// DialTimeout implements [memberlist.Transport].
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", addr, timeout)
}

// DialAddressTimeout implements [memberlist.NodeAwareTransport].
func (t *Transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(addr.Addr, timeout)
}

// FinalAdvertiseAddr implements [memberlist.Transport]. If no address is
// configured it returns the one that the Transport is bound to or, if that is
// the wildcard, the host's private address.
func (t *Transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	bound := t.streams.Addr().(*net.TCPAddr)
	switch {
	case ip != "":
	case !bound.IP.IsUnspecified():
		ip, port = bound.IP.String(), bound.Port
	default:
		private, err := sockaddr.GetPrivateIP()
		if err != nil {
			return nil, 0, fmt.Errorf("memberlist: finding a private address: %w", err)
		}
		if private == "" {
			return nil, 0, errors.New("memberlist: the host has no private address, and none is configured")
		}
		ip, port = private, bound.Port
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, 0, fmt.Errorf("memberlist: advertised address: %w", err)
	}
	return addr.Unmap().AsSlice(), port, nil
}

// Shutdown implements [memberlist.Transport]. It waits for the Transport's
// goroutines. If receiving has failed, it returns the error.
func (t *Transport) Shutdown() error { return t.shutdown() }
