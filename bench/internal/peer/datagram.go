package peer

import (
	"context"
	"errors"
	"net/netip"
	"runtime"

	"example.com/datagram"
	"example.com/datagram/bench/internal/child"
)

// The package itself, in the four ways its users can write the loop. None of these asks for anything
// special: what batches and offloads there are, it finds by itself. The last asks for all that can travel
// beside a payload, and sends it.
func datagramPeers() []Peer {
	return []Peer{
		datagramPeer("datagram", "this package, Send and Recv", recvLoop, plainSend),
		datagramPeer("datagram-serve", "this package, Send and Serve", serveLoop, plainSend),
		datagramPeer("datagram-serve-try", "this package, TrySend and Serve", serveLoop, trySend),
		datagramPeer("datagram-recv-try", "this package, TrySend and Recv", recvLoop, trySend),
		datagramPeer("datagram-metadata", "this package, Send and Recv, all metadata both ways", recvLoop, metadataSend,
			datagram.WithMetadata(datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime)),
		{
			Name:  "datagram-unread",
			About: "this package, Recv without a goroutine that waits for its channel: what belongs to an idle Conn",
			Idle:  datagramUnread,
		},
	}
}

func datagramUnread(a *child.Args) (Half, error) {
	c, err := datagramListen(a.RecvNS, a.BindAddr(), nil)
	if err != nil {
		return Half{}, err
	}
	c.Recv()
	return Half{Close: func() { c.Close() }}, nil
}

// receiveLoop hands what arrives to handle until c is closed.
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

// metadataSend is plainSend with a hop limit and ECN; the source address is there when d is a reply.
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
func datagramListen(ns string, addr netip.AddrPort, opts []datagram.Option) (*datagram.Conn, error) {
	var c *datagram.Conn
	err := child.In(ns, func() (err error) {
		c, err = datagram.Listen(context.Background(), "udp4", addr.String(), opts...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, child.Grow(c)
}

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
