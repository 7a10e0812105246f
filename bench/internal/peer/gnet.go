package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"example.com/datagram/bench/internal/child"
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

var gnetPeer = Peer{
	Name:    "gnet",
	About:   "gnet v2, one event loop, OnTraffic",
	Receive: gnetReceive,
	Send:    gnetSend,
	Echo:    gnetEcho,
	Ping:    gnetPing,
}

// gnetHandler is the event handler of servers and clients. It passes what arrives to traffic.
type gnetHandler struct {
	gnet.BuiltinEventEngine
	traffic func(gnet.Conn, []byte)
	booted  chan gnet.Engine
}

// gnetLog keeps gnet's log lines, which go to standard output, out of the answers to the parent.
type gnetLog struct{}

func (gnetLog) Debugf(string, ...any)          {}
func (gnetLog) Infof(string, ...any)           {}
func (gnetLog) Warnf(f string, args ...any)    { fmt.Fprintf(os.Stderr, f+"\n", args...) }
func (gnetLog) Errorf(f string, args ...any)   { fmt.Fprintf(os.Stderr, f+"\n", args...) }
func (l gnetLog) Fatalf(f string, args ...any) { child.Fatal(fmt.Errorf(f, args...)) }

func (h *gnetHandler) OnBoot(e gnet.Engine) gnet.Action {
	h.booted <- e
	return gnet.None
}

func (h *gnetHandler) OnTraffic(c gnet.Conn) gnet.Action {
	if b, err := c.Next(-1); err == nil {
		h.traffic(c, b)
	}
	return gnet.None
}

// gnetServe opens a gnet server. Its event loop runs from then on, so Run only waits for its end.
func gnetServe(ns string, bind netip.AddrPort, traffic func(gnet.Conn, []byte), ended func()) (Half, error) {
	h := &gnetHandler{traffic: traffic, booted: make(chan gnet.Engine, 1)}
	done := make(chan error, 1)
	go func() {
		done <- child.In(ns, func() error { return gnet.Run(h, "udp://"+bind.String(), gnet.WithLogger(gnetLog{})) })
	}()
	var eng gnet.Engine
	select {
	case eng = <-h.booted:
	case err := <-done:
		return Half{}, errors.Join(errors.New("gnet did not start"), err)
	}
	fd, err := eng.Dup() // shares the socket: gnet's own options stop at the system's limit
	if err != nil {
		return Half{}, err
	}
	defer unix.Close(fd)
	child.GrowFD(fd)
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		err := <-done
		ended()
		return err
	}
	stop := func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // Run returns when the loop has ended; Stop would poll for that
		_ = eng.Stop(ctx)
	}
	addr := netip.AddrPortFrom(bind.Addr(), uint16(sa.(*unix.SockaddrInet4).Port))
	return Half{Addr: addr, Run: run, Close: stop}, nil
}

func gnetReceive(a *child.Args, sink *child.Sink) (Half, error) {
	return gnetServe(a.RecvNS, a.BindAddr(), func(_ gnet.Conn, b []byte) { sink.Add(b) }, sink.Flush)
}

func gnetEcho(a *child.Args) (Half, error) {
	return gnetServe("", a.BindAddr(), func(c gnet.Conn, b []byte) { _, _ = c.Write(b) }, func() {})
}

// gnetDial opens a gnet client connected to dest.
func gnetDial(ns string, dest netip.AddrPort, traffic func(gnet.Conn, []byte)) (*gnet.Client, gnet.Conn, error) {
	h := &gnetHandler{traffic: traffic, booted: make(chan gnet.Engine, 1)}
	cli, err := gnet.NewClient(h, gnet.WithLogger(gnetLog{}))
	if err != nil {
		return nil, nil, err
	}
	if err := cli.Start(); err != nil {
		return nil, nil, err
	}
	var c gnet.Conn
	err = child.In(ns, func() (err error) {
		c, err = cli.Dial("udp4", dest.String())
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(err, cli.Stop())
	}
	child.GrowFD(c.Fd())
	return cli, c, nil
}

// gnetSend writes from one goroutine, which gnet allows for UDP: its writes are plain send calls.
func gnetSend(a *child.Args, src *child.Source) (Half, error) {
	dests := src.Destinations()
	cli, c, err := gnetDial(a.SendNS, dests[0], func(gnet.Conn, []byte) {})
	if err != nil {
		return Half{}, err
	}
	addrs := make(map[netip.AddrPort]net.Addr, len(dests))
	for _, d := range dests {
		addrs[d] = net.UDPAddrFromAddrPort(d)
	}
	run := func() error {
		defer src.Publish()
		buf := make([]byte, a.Size)
		for {
			dst, ok := src.Next(buf)
			if !ok {
				return nil
			}
			for {
				var err error
				if len(dests) == 1 {
					err = c.AsyncWrite(buf, nil)
				} else {
					_, err = c.SendTo(buf, addrs[dst])
				}
				if err == nil {
					break
				}
				if !errors.Is(err, unix.EAGAIN) {
					return err
				}
				runtime.Gosched() // the send buffer is full, and gnet has no event for that
			}
		}
	}
	return Half{Run: run, Close: func() { _ = cli.Stop() }}, nil
}

func gnetPing(_ *child.Args, dest netip.AddrPort, p *Pinger) (Half, error) {
	over := make(chan struct{})
	ask := func(c gnet.Conn) {
		if !p.Next() {
			close(over)
			return
		}
		_, _ = c.Write(p.Payload)
	}
	cli, c, err := gnetDial("", dest, func(c gnet.Conn, b []byte) {
		if p.Reply(b) {
			ask(c)
		}
	})
	if err != nil {
		return Half{}, err
	}
	run := func() error {
		ask(c)
		<-over
		return nil
	}
	return Half{Run: run, Close: func() { _ = cli.Stop() }}, nil
}
