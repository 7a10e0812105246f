package peer

import (
	"errors"
	"net/netip"

	"example.com/datagram/bench/internal/child"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
)

// wireguardBuffer is what the package's own user gives it: room to coalesce and to split in.
const wireguardBuffer = 1<<16 - 1

// The best-known Go code with UDP segmentation offload that can be imported. Its interface is made
// for a tunnel: the caller brings batches of buffers, and one Send has one destination.
var wireguardPeer = Peer{
	Name:    "wireguard",
	About:   "wireguard-go's conn.Bind, batches of 128 made by the caller",
	Receive: wireguardReceive,
	Send:    wireguardSend,
	Echo:    wireguardEcho,
}

// wireguardOpen returns a bind with its IPv4 receiver, which listens on every address.
func wireguardOpen(ns string) (conn.Bind, conn.ReceiveFunc, uint16, error) {
	b := conn.NewStdNetBind()
	var fns []conn.ReceiveFunc
	var port uint16
	err := child.In(ns, func() (err error) {
		fns, port, err = b.Open(0)
		return err
	})
	if err != nil {
		return nil, nil, 0, err
	}
	if std, ok := b.(conn.PeekLookAtSocketFd); ok {
		if fd, err := std.PeekLookAtSocketFd4(); err == nil {
			child.GrowFD(fd) // it asks for 7 MiB, which would be more than the others have
		}
	}
	return b, fns[0], port, nil
}

// wireguardEnd drops the errors of a bind that was closed: one that sends meanwhile says that it has
// no socket of the family.
func wireguardEnd(err error) error {
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil
	}
	return closed(err)
}

// wireguardBuffers returns one batch of buffers.
func wireguardBuffers(n int) [][]byte {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, wireguardBuffer)
	}
	return bufs
}

func wireguardReceive(a *child.Args, sink *child.Sink) (Half, error) {
	b, receive, port, err := wireguardOpen(a.RecvNS)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer sink.Flush()
		bufs := wireguardBuffers(b.BatchSize())
		sizes := make([]int, len(bufs))
		eps := make([]conn.Endpoint, len(bufs))
		for {
			n, err := receive(bufs, sizes, eps)
			if err != nil {
				return closed(err)
			}
			for i, buf := range bufs[:n] {
				sink.Add(buf[:sizes[i]])
			}
		}
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr(a.Bind), port)
	return Half{Addr: addr, Run: run, Close: func() { _ = b.Close() }}, nil
}

func wireguardSend(a *child.Args, src *child.Source) (Half, error) {
	b, _, _, err := wireguardOpen(a.SendNS)
	if err != nil {
		return Half{}, err
	}
	eps := make(map[netip.AddrPort]conn.Endpoint)
	for _, d := range src.Destinations() {
		if eps[d], err = b.ParseEndpoint(d.String()); err != nil {
			return Half{}, err
		}
	}
	run := func() error {
		defer src.Publish()
		batch := wireguardBuffers(b.BatchSize())
		if len(eps) > 1 {
			batch = batch[:1] // one Send has one destination, and the next datagram has another
		}
		for {
			var to netip.AddrPort
			for i := range batch {
				batch[i] = batch[i][:a.Size]
				dst, ok := src.Next(batch[i])
				if !ok {
					return closed(wireguardFlush(b, batch[:i], eps[to]))
				}
				to = dst
			}
			if err := b.Send(batch, eps[to]); err != nil {
				return closed(err)
			}
		}
	}
	return Half{Run: run, Close: func() { _ = b.Close() }}, nil
}

// wireguardFlush sends the batch that was begun when sending ended.
func wireguardFlush(b conn.Bind, batch [][]byte, to conn.Endpoint) error {
	if len(batch) == 0 {
		return nil
	}
	return b.Send(batch, to)
}

func wireguardEcho(a *child.Args) (Half, error) {
	b, receive, port, err := wireguardOpen("")
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		bufs := wireguardBuffers(b.BatchSize())
		sizes := make([]int, len(bufs))
		eps := make([]conn.Endpoint, len(bufs))
		one := make([][]byte, 1)
		for {
			n, err := receive(bufs, sizes, eps)
			if err != nil {
				return closed(err)
			}
			for i := range n {
				one[0] = bufs[i][:sizes[i]]
				if err := b.Send(one, eps[i]); err != nil {
					return wireguardEnd(err)
				}
			}
		}
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr(a.Bind), port)
	return Half{Addr: addr, Run: run, Close: func() { _ = b.Close() }}, nil
}
