package peer

import (
	"net"
	"net/netip"

	"example.com/datagram"
	"example.com/datagram/bench/internal/child"
)

// The package in the forms of package net, for programs and libraries that take these.
var (
	packetConnPeer = Peer{
		Name:    "datagram-packetconn",
		About:   "this package's PacketConn, ReadFromUDPAddrPort and WriteToUDPAddrPort in a loop",
		Receive: packetConnReceive,
		Send:    packetConnSend,
		Echo:    packetConnEcho,
		Ping:    packetConnPing,
		Conn: func() (net.PacketConn, error) {
			return packetConn("", loopback)
		},
	}
	udpConnPeer = Peer{
		Name:  "datagram-udpconn",
		About: "this package's UDPConn, for libraries that use control messages",
		Conn: func() (net.PacketConn, error) {
			c, err := packetConn("", loopback)
			if err != nil {
				return nil, err
			}
			return c.handle.UDPConn(), nil
		},
	}
)

var loopback = netip.MustParseAddrPort("127.0.0.1:0")

// A handleConn is a PacketConn and its handle.
type handleConn struct {
	*datagram.PacketConn
	handle *datagram.Conn
}

func packetConn(ns string, addr netip.AddrPort) (handleConn, error) {
	c, err := datagramListen(ns, addr, nil)
	if err != nil {
		return handleConn{}, err
	}
	return handleConn{c.PacketConn(), c}, nil
}

// half returns the end of the traffic whose loop is run.
func (c handleConn) half(run func() error) Half {
	return Half{
		Addr:  c.handle.LocalAddr(),
		Run:   func() error { return closed(run()) },
		Close: func() { c.Close() },
	}
}

func packetConnReceive(a *child.Args, sink *child.Sink) (Half, error) {
	c, err := packetConn(a.RecvNS, a.BindAddr())
	if err != nil {
		return Half{}, err
	}
	return c.half(func() error {
		defer sink.Flush()
		buf := make([]byte, readSize(a))
		for {
			n, _, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return err
			}
			sink.Add(buf[:n])
		}
	}), nil
}

func packetConnSend(a *child.Args, src *child.Source) (Half, error) {
	c, err := packetConn(a.SendNS, anyPort)
	if err != nil {
		return Half{}, err
	}
	return c.half(func() error {
		defer src.Publish()
		buf := make([]byte, a.Size)
		for {
			dst, ok := src.Next(buf)
			if !ok {
				return nil
			}
			if _, err := c.WriteToUDPAddrPort(buf, dst); err != nil {
				return err
			}
		}
	}), nil
}

func packetConnEcho(a *child.Args) (Half, error) {
	c, err := packetConn("", a.BindAddr())
	if err != nil {
		return Half{}, err
	}
	return c.half(func() error {
		buf := make([]byte, readSize(a))
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return err
			}
			if _, err := c.WriteToUDPAddrPort(buf[:n], from); err != nil {
				return err
			}
		}
	}), nil
}

func packetConnPing(a *child.Args, dest netip.AddrPort, p *Pinger) (Half, error) {
	c, err := packetConn("", anyPort)
	if err != nil {
		return Half{}, err
	}
	return c.half(func() error {
		buf := make([]byte, readSize(a))
		for p.Next() {
			if _, err := c.WriteToUDPAddrPort(p.Payload, dest); err != nil {
				return err
			}
			for replied := false; !replied; {
				n, _, err := c.ReadFromUDPAddrPort(buf)
				if err != nil {
					return err
				}
				replied = p.Reply(buf[:n])
			}
		}
		return nil
	}), nil
}
