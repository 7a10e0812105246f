package peer

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"syscall"

	"example.com/datagram"
	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/report"
)

// The package itself, in the ways in which its users can write the loop. Except for the batches,
// none of these asks for anything special; the package finds batches and offloads by itself. The
// last of the loops requests and sends all metadata.
func datagramPeers() []Peer {
	recv := datagramPeer("datagram", "this package, Send and Recv", recvLoop, plainSend)
	serve := datagramPeer("datagram-serve", "this package, Send and Serve", serveLoop, plainSend)
	serveTry := datagramPeer("datagram-serve-try", "this package, TrySend and Serve", serveLoop, trySend)
	recvTry := datagramPeer("datagram-recv-try", "this package, TrySend and Recv", recvLoop, trySend)
	metadata := datagramPeer("datagram-metadata", "this package, Send and Recv, all metadata both ways", recvLoop, metadataSend,
		datagram.WithMetadata(datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime))
	unread := Peer{
		Name:  "datagram-unread",
		About: "this package, Recv without a goroutine that waits for its channel: what belongs to an idle Conn",
		Idle:  datagramUnread,
	}
	recv.Family, serve.Family = report.Ours, report.Ours
	serve.Echo, serve.Shares = datagramServeEcho, true
	serveTry.PingOnly, recvTry.PingOnly = true, true
	return []Peer{recv, serve, datagramBatchPeer, serveTry, recvTry, metadata, unread}
}

func datagramUnread(a *child.Args) (Half, error) {
	c, err := datagramListen(a.RecvNS, a.BindAddr(), nil)
	if err != nil {
		return Half{}, err
	}
	c.Recv()
	return Half{Close: func() { c.Close() }}, nil
}

// receiveLoop passes what arrives to handle until c is closed.
type receiveLoop func(c *datagram.Conn, handle func(datagram.Datagram)) error

func recvLoop(c *datagram.Conn, handle func(datagram.Datagram)) error {
	for d := range c.Recv() {
		handle(d)
	}
	return closed(c.Err())
}

func serveLoop(c *datagram.Conn, handle func(datagram.Datagram)) error {
	return closed(c.Serve(context.Background(), handle))
}

// sendOne sends one datagram, and waits while there is no room.
type sendOne func(c *datagram.Conn, d datagram.Datagram) error

func plainSend(c *datagram.Conn, d datagram.Datagram) error {
	return c.Send(context.Background(), d)
}

func trySend(c *datagram.Conn, d datagram.Datagram) error {
	for {
		_, err := c.TrySend(d)
		if !errors.Is(err, datagram.ErrWouldBlock) {
			return err
		}
		runtime.Gosched()
	}
}

// metadataSend is plainSend with a hop limit and ECN. In a reply, d has the source address too.
func metadataSend(c *datagram.Conn, d datagram.Datagram) error {
	d.Meta.HopLimit, d.Meta.TrafficClass = 64, uint8(datagram.ECT0)
	return plainSend(c, d)
}

func datagramPeer(name, about string, loop receiveLoop, send sendOne, opts ...datagram.Option) Peer {
	return Peer{
		Name:  name,
		About: about,
		Receive: func(a *child.Args, sink *child.Sink) (Half, error) {
			return datagramReceive(a, sink, loop, opts)
		},
		Send: func(a *child.Args, src *child.Source) (Half, error) {
			return datagramSend(a, src, send, opts)
		},
		Echo: func(a *child.Args) (Half, error) {
			return datagramEcho(a, loop, send, opts)
		},
		Ping: func(_ *child.Args, dest netip.AddrPort, p *Pinger) (Half, error) {
			return datagramPing(dest, p, loop, send, opts)
		},
		ManySockets: true,
	}
}

// datagramListen opens a Conn with the buffers that all peers have.
func datagramListen(ns string, addr netip.AddrPort, opts []datagram.Option) (c *datagram.Conn, err error) {
	err = child.In(ns, func() error {
		c, err = datagram.Listen(context.Background(), "udp4", addr.String(), append(slices.Clip(opts), grown)...)
		return err
	})
	return c, err
}

// grown gives a Conn the bench's buffers. SyscallConn would leave the socket to Go's poller for good.
var grown = datagram.WithControl(func(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) { child.GrowFD(int(fd)) })
})

func datagramReceive(a *child.Args, sink *child.Sink, loop receiveLoop, opts []datagram.Option) (Half, error) {
	c, err := datagramListen(a.RecvNS, a.BindAddr(), opts)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer sink.Flush()
		return loop(c, func(d datagram.Datagram) {
			sink.Add(d.Payload)
			d.Release()
		})
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}

func datagramSend(a *child.Args, src *child.Source, send sendOne, opts []datagram.Option) (Half, error) {
	c, err := datagramListen(a.SendNS, anyPort, opts)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer src.Publish()
		buf := make([]byte, a.Size)
		for {
			dst, ok := src.Next(buf)
			if !ok {
				return closed(c.Flush(context.Background()))
			}
			if err := send(c, datagram.To(dst, buf)); err != nil {
				return closed(err)
			}
		}
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}

func datagramEcho(a *child.Args, loop receiveLoop, send sendOne, opts []datagram.Option) (Half, error) {
	c, err := datagramListen("", a.BindAddr(), opts)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		return loop(c, func(d datagram.Datagram) {
			_ = send(c, d.Reply(d.Payload))
			d.Release()
		})
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}

// datagramServeEcho is the echo with Serve, also that of a Group.
func datagramServeEcho(a *child.Args) (Half, error) {
	if a.Handles == 0 {
		return datagramEcho(a, serveLoop, plainSend, nil)
	}
	g, err := datagram.ListenGroup(context.Background(), "udp4", a.BindAddr().String(), a.Handles, grown)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		return closed(g.Serve(context.Background(), func(c *datagram.Conn, d datagram.Datagram) {
			_ = plainSend(c, d.Reply(d.Payload))
			d.Release()
		}))
	}
	return Half{Addr: g.LocalAddr(), Run: run, Close: func() { g.Close() }}, nil
}

func datagramPing(dest netip.AddrPort, p *Pinger, loop receiveLoop, send sendOne, opts []datagram.Option) (Half, error) {
	c, err := datagramListen("", anyPort, opts)
	if err != nil {
		return Half{}, err
	}
	ask := func() error {
		if !p.Next() {
			return c.Close()
		}
		return send(c, datagram.To(dest, p.Payload))
	}
	run := func() error {
		if err := ask(); err != nil {
			return closed(err)
		}
		return loop(c, func(d datagram.Datagram) {
			mine := p.Reply(d.Payload)
			d.Release()
			if mine {
				_ = ask()
			}
		})
	}
	return Half{Addr: c.LocalAddr(), Run: run, Close: func() { c.Close() }}, nil
}
