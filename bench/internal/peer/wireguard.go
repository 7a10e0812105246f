package peer

import (
	"errors"
	"net/netip"

	"example.com/datagram"
	"example.com/datagram/adapters/wireguard"
	"example.com/datagram/bench/internal/child"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
)

// wireguardBuffer is the size that wireguard-go itself uses: room to coalesce and to split in.
const wireguardBuffer = 1<<16 - 1

// The best-known importable Go code with UDP segmentation offload. Its interface is made for a
// tunnel: the caller supplies batches of buffers, and each Send has one destination.
var wireguardPeer = newBind(conn.NewStdNetBind).peer("wireguard", "wireguard-go's conn.Bind, batches of 128 made by the caller")

// bindPeer is this package in wireguard-go's place.
var bindPeer = newBind(func() conn.Bind {
	return wireguard.NewBind(datagram.WithReadBuffer(child.Buffer), datagram.WithWriteBuffer(child.Buffer))
}).peer("datagram-bind", "this package as a conn.Bind, the same batches")

type newBind func() conn.Bind

func (newBind newBind) peer(name, about string) Peer {
	return Peer{Name: name, About: about, Receive: newBind.receive, Send: newBind.send, Echo: newBind.echo}
}

// open returns a bind with its IPv4 receiver, which listens on every address.
func (newBind newBind) open(ns string) (conn.Bind, conn.ReceiveFunc, uint16, error) {
	b := newBind()
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
			child.GrowFD(fd) // it requests 7 MiB, more than the others have
		}
	}
	return b, fns[0], port, nil
}

// wireguardEnd drops the errors of a closed bind: a concurrent send reports that there is no socket
// of the family.
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

func (newBind newBind) receive(a *child.Args, sink *child.Sink) (Half, error) {
	b, receive, port, err := newBind.open(a.RecvNS)
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

// A wireguardFlow collects a batch for one destination.
type wireguardFlow struct {
	to   conn.Endpoint
	bufs [][]byte
	n    int
}

func (f *wireguardFlow) send(b conn.Bind) error {
	if f.n == 0 {
		return nil
	}
	n := f.n
	f.n = 0
	return b.Send(f.bufs[:n], f.to)
}

// wireguardFlows returns a flow for each destination: a tunnel has a queue for each of its peers.
func wireguardFlows(b conn.Bind, a *child.Args, dests []netip.AddrPort) ([]wireguardFlow, error) {
	n := max(1, min(b.BatchSize(), a.Held()/len(dests)))
	capacity := a.Size
	if n > 1 {
		capacity = wireguardBuffer
	}
	flows := make([]wireguardFlow, len(dests))
	for i, d := range dests {
		to, err := b.ParseEndpoint(d.String())
		if err != nil {
			return nil, err
		}
		flows[i] = wireguardFlow{to: to, bufs: make([][]byte, n)}
		for k := range n {
			flows[i].bufs[k] = make([]byte, a.Size, capacity)
		}
	}
	return flows, nil
}

func (newBind newBind) send(a *child.Args, src *child.Source) (Half, error) {
	b, _, _, err := newBind.open(a.SendNS)
	if err != nil {
		return Half{}, err
	}
	flows, err := wireguardFlows(b, a, src.Destinations())
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer src.Publish()
		for i := 0; ; i = (i + 1) % len(flows) { // the order of src
			f := &flows[i]
			if _, ok := src.Next(f.bufs[f.n]); !ok {
				break
			}
			if f.n++; f.n == len(f.bufs) {
				if err := f.send(b); err != nil {
					return closed(err)
				}
			}
		}
		for i := range flows {
			if err := flows[i].send(b); err != nil {
				return closed(err)
			}
		}
		return nil
	}
	return Half{Run: run, Close: func() { _ = b.Close() }}, nil
}

func (newBind newBind) echo(a *child.Args) (Half, error) {
	b, receive, port, err := newBind.open("")
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
