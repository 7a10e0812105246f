package peer

import (
	"net"
	"net/netip"

	"example.com/datagram/bench/internal/child"
	"golang.org/x/net/ipv4"
)

// xnetBatch is the maximum number of datagrams in one ReadBatch or WriteBatch. Larger batches gain
// nothing measurable.
const xnetBatch = 64

var xnetPeer = Peer{
	Name:    "x/net",
	About:   "golang.org/x/net/ipv4, ReadBatch and WriteBatch of 64",
	Receive: xnetReceive,
	Send:    xnetSend,
	Echo:    echo(xnetEcho),
	Shares:  true,
}

// messages returns a batch of one-buffer messages with size bytes each.
func messages(size int) []ipv4.Message {
	ms := make([]ipv4.Message, xnetBatch)
	for i := range ms {
		ms[i].Buffers = [][]byte{make([]byte, size)}
	}
	return ms
}

// writeAll sends all messages, since WriteBatch may send only the first few.
func writeAll(pc *ipv4.PacketConn, ms []ipv4.Message) error {
	for len(ms) > 0 {
		n, err := pc.WriteBatch(ms, 0)
		if err != nil {
			return err
		}
		ms = ms[n:]
	}
	return nil
}

func xnetReceive(a *child.Args, sink *child.Sink) (Half, error) {
	c, err := listen(a.RecvNS, a.BindAddr())
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer sink.Flush()
		pc := ipv4.NewPacketConn(c)
		ms := messages(readSize(a))
		for {
			n, err := pc.ReadBatch(ms, 0)
			if err != nil {
				return closed(err)
			}
			for i := range ms[:n] {
				sink.Add(ms[i].Buffers[0][:ms[i].N])
			}
		}
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}

func xnetSend(a *child.Args, src *child.Source) (Half, error) {
	c, err := listen(a.SendNS, anyPort)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer src.Publish()
		pc := ipv4.NewPacketConn(c)
		ms := messages(a.Size)
		addrs := make(map[netip.AddrPort]*net.UDPAddr) // created once, since a net.Addr for each datagram would allocate
		for {
			for i := range ms {
				dst, ok := src.Next(ms[i].Buffers[0])
				if !ok {
					return closed(writeAll(pc, ms[:i]))
				}
				addr := addrs[dst]
				if addr == nil {
					addr = net.UDPAddrFromAddrPort(dst)
					addrs[dst] = addr
				}
				ms[i].Addr = addr
			}
			if err := writeAll(pc, ms); err != nil {
				return closed(err)
			}
		}
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}

func xnetEcho(a *child.Args, c *net.UDPConn) error {
	pc := ipv4.NewPacketConn(c)
	in, out := messages(readSize(a)), messages(0)
	for {
		n, err := pc.ReadBatch(in, 0)
		if err != nil {
			return closed(err)
		}
		for i := range in[:n] {
			out[i].Buffers[0] = in[i].Buffers[0][:in[i].N]
			out[i].Addr = in[i].Addr
		}
		if err := writeAll(pc, out[:n]); err != nil {
			return closed(err)
		}
	}
}
