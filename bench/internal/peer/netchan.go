package peer

import (
	"net"
	"net/netip"

	"example.com/datagram/bench/internal/child"
)

var netChannelPeer = Peer{
	Name:  "net-channel",
	About: "net.UDPConn, a goroutine that reads into a channel of 16: what a channel costs by itself",
	Echo:  netChannelEcho,
	Ping:  netChannelPing,
}

// received is what the reading goroutine passes on.
type received struct {
	payload []byte
	from    netip.AddrPort
}

// readInto reads from c into a channel, which it closes at the end. Buffers of size bytes
// return through free.
func readInto(c *net.UDPConn, size int) (ch chan received, free chan []byte) {
	const depth = 16
	ch, free = make(chan received, depth), make(chan []byte, 2*depth)
	for range cap(free) {
		free <- make([]byte, size)
	}
	go func() {
		defer close(ch)
		for {
			buf := <-free
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			ch <- received{buf[:n], from}
		}
	}()
	return ch, free
}

func netChannelEcho(a *child.Args) (Half, error) {
	c, err := listen("", a.BindAddr())
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		ch, free := readInto(c, readSize(a))
		for r := range ch {
			if _, err := c.WriteToUDPAddrPort(r.payload, r.from); err != nil {
				return closed(err)
			}
			free <- r.payload[:cap(r.payload)]
		}
		return nil
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}

func netChannelPing(a *child.Args, dest netip.AddrPort, p *Pinger) (Half, error) {
	c, err := listen("", anyPort)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		ch, free := readInto(c, readSize(a))
		for p.Next() {
			if _, err := c.WriteToUDPAddrPort(p.Payload, dest); err != nil {
				return closed(err)
			}
			for r := range ch {
				mine := p.Reply(r.payload)
				free <- r.payload[:cap(r.payload)]
				if mine {
					break
				}
			}
		}
		return nil
	}
	return Half{Addr: localAddr(c), Run: run, Close: func() { c.Close() }}, nil
}
