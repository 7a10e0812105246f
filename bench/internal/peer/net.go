package peer

import (
	"errors"
	"net"
	"net/netip"

	"example.com/datagram/bench/internal/child"
)

// readSize returns the size of the buffers of peers that read one datagram into each. It is enough
// for the workload; a program that accepts any datagram would need 64 KiB.
func readSize(a *child.Args) int { return max(2048, a.Size) }

var netPeer = Peer{
	Name:        "net",
	About:       "net.UDPConn, ReadFromUDPAddrPort and WriteToUDPAddrPort in a loop",
	Receive:     netReceive,
	Send:        netSend,
	Echo:        echo(netEcho),
	Ping:        netPing,
	Shares:      true,
	Conn:        func() (net.PacketConn, error) { return listen("", loopback) },
	ManySockets: true,
}

// listen opens a net.UDPConn with the bench's buffers. The x/net peer uses it too.
func listen(ns string, addr netip.AddrPort) (*net.UDPConn, error) {
	var c *net.UDPConn
	err := child.In(ns, func() (err error) {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, child.Grow(c)
}

// anyPort is the address that senders bind.
var anyPort = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

func localAddr(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// closed drops the error of a loop whose socket was closed.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func netReceive(a *child.Args, sink *child.Sink) (Half, error) {
	c, err := listen(a.RecvNS, a.BindAddr())
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer sink.Flush()
		buf := make([]byte, readSize(a))
		for {
			n, _, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return closed(err)
			}
			sink.Add(buf[:n])
		}
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}

func netSend(a *child.Args, src *child.Source) (Half, error) {
	c, err := listen(a.SendNS, anyPort)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		defer src.Publish()
		buf := make([]byte, a.Size)
		for {
			dst, ok := src.Next(buf)
			if !ok {
				return nil
			}
			if _, err := c.WriteToUDPAddrPort(buf, dst); err != nil {
				return closed(err)
			}
		}
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}

func netEcho(a *child.Args, c *net.UDPConn) error {
	buf := make([]byte, readSize(a))
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return closed(err)
		}
		if _, err := c.WriteToUDPAddrPort(buf[:n], from); err != nil {
			return closed(err)
		}
	}
}

func netPing(a *child.Args, dest netip.AddrPort, p *Pinger) (Half, error) {
	c, err := listen("", anyPort)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		buf := make([]byte, readSize(a))
		for p.Next() {
			if _, err := c.WriteToUDPAddrPort(p.Payload, dest); err != nil {
				return closed(err)
			}
			for {
				n, _, err := c.ReadFromUDPAddrPort(buf)
				if err != nil {
					return closed(err)
				}
				if p.Reply(buf[:n]) {
					break
				}
			}
		}
		return nil
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}
