package datagram_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

var (
	_ net.PacketConn = (*datagram.PacketConn)(nil)
	_ net.Conn       = (*datagram.PacketConn)(nil)
	_ net.PacketConn = (*datagram.UDPConn)(nil)
	_ net.Conn       = (*datagram.UDPConn)(nil)
	_ syscall.Conn   = (*datagram.PacketConn)(nil)
)

// A way is a way of exchanging datagrams: each implementation of sockets, with more and less help of the
// system.
type way struct {
	name string
	host string
	opts func(t *testing.T) []datagram.Option
}

func (w way) listen(t *testing.T, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	return conntest.Listen(t, "udp4", w.host+":0", append(w.opts(t), opts...)...)
}

// networkErrors makes a handle hear of what its peers refuse, where that is possible.
func (w way) networkErrors() []datagram.Option {
	if runtime.GOOS != "linux" || w.name == "portable" || w.name == "simulated" {
		return nil
	}
	return []datagram.Option{datagram.WithNetworkErrors()}
}

// ways runs a test on each way.
func ways(t *testing.T, test func(t *testing.T, w way)) {
	t.Helper()
	options := func(opts ...datagram.Option) func(*testing.T) []datagram.Option {
		return func(*testing.T) []datagram.Option { return slices.Clone(opts) }
	}
	for _, w := range []way{
		{"all", "127.0.0.1", options(datagram.WithOffload(datagram.OffloadAll))},
		{"batch", "127.0.0.1", options(datagram.WithOffload(datagram.OffloadBatch))},
		{"none", "127.0.0.1", options(datagram.WithOffload(datagram.OffloadNone))},
		{"portable", "127.0.0.1", options(conntest.Portable())},
		{name: "simulated", host: "10.0.0.1"},
	} {
		t.Run(w.name, func(t *testing.T) {
			if w.opts == nil {
				network := datagramtest.NewNetwork(1, datagramtest.Link{})
				t.Cleanup(func() { network.Close() })
				w.opts = options(network.Option())
			}
			test(t, w)
		})
	}
}

// write writes a datagram, all of it.
func write(t *testing.T, c net.PacketConn, text string, to net.Addr) {
	t.Helper()
	if n, err := c.WriteTo([]byte(text), to); n != len(text) || err != nil {
		t.Fatalf("WriteTo: %d, %v; want %d", n, err, len(text))
	}
}

// read reads a datagram with the given text, and returns its sender.
func read(t *testing.T, c net.PacketConn, want string) net.Addr {
	t.Helper()
	p := make([]byte, 2048)
	if err := c.SetReadDeadline(time.Now().Add(await.Limit)); err != nil {
		t.Fatal(err)
	}
	n, from, err := c.ReadFrom(p)
	if err != nil || string(p[:n]) != want {
		t.Fatalf("read %q from %v, %v; want %q", p[:n], from, err, want)
	}
	return from
}

func expectTimeout(t *testing.T, what string, err error) {
	t.Helper()
	conntest.CheckErrno(t, err, os.ErrDeadlineExceeded)
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() {
		t.Errorf("%s: %v is no time-out", what, err)
	}
}

func TestPacketConnIsOne(t *testing.T) {
	c := conntest.New(t)
	if p, u := c.PacketConn(), c.UDPConn(); p == nil || p != c.PacketConn() || u == nil || u != c.UDPConn() {
		t.Error("each call returns another one")
	}
}

// A method set is a promise: libraries choose by it what to do with a connection.
func TestPacketConnPromisesNoMore(t *testing.T) {
	var p any = conntest.New(t).PacketConn()
	if _, ok := p.(interface {
		ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
	}); ok {
		t.Error("ReadMsgUDP")
	}
	if _, ok := p.(interface {
		WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
	}); ok {
		t.Error("WriteMsgUDP")
	}
	if _, ok := p.(interface{ File() (*os.File, error) }); ok {
		t.Error("File")
	}
}

func TestPacketConnExchanges(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		a, b := w.listen(t).PacketConn(), w.listen(t).PacketConn()
		to, from := b.LocalAddr().(*net.UDPAddr), a.LocalAddr()
		p := make([]byte, 10)
		for name, call := range map[string]struct {
			write func(p []byte) (int, error)
			read  func(p []byte) (int, net.Addr, error)
		}{
			"WriteTo, ReadFrom": {
				func(p []byte) (int, error) { return a.WriteTo(p, to) },
				b.ReadFrom,
			},
			"UDPAddrPort": {
				func(p []byte) (int, error) { return a.WriteToUDPAddrPort(p, to.AddrPort()) },
				func(p []byte) (int, net.Addr, error) {
					n, from, err := b.ReadFromUDPAddrPort(p)
					return n, net.UDPAddrFromAddrPort(from), err
				},
			},
			"AddrPort": {
				func(p []byte) (int, error) { return a.WriteToAddrPort(p, to.AddrPort()) },
				func(p []byte) (int, net.Addr, error) {
					n, from, err := b.ReadFromAddrPort(p)
					return n, net.UDPAddrFromAddrPort(from), err
				},
			},
			"Read": {
				func(p []byte) (int, error) { return a.WriteTo(p, to) },
				func(p []byte) (int, net.Addr, error) {
					n, err := b.Read(p)
					return n, from, err
				},
			},
		} {
			for _, text := range []string{"", "short", "exactly 10", "more than ten bytes"} {
				if n, err := call.write([]byte(text)); n != len(text) || err != nil {
					t.Fatalf("%s: wrote %d, %v; want %d", name, n, err, len(text))
				}
				want := text[:min(len(text), len(p))]
				n, sender, err := call.read(p)
				if err != nil || string(p[:n]) != want || sender.String() != from.String() {
					t.Errorf("%s: read %q from %v, %v; want %q from %v", name, p[:n], sender, err, want, from)
				}
			}
		}
	})
}

func TestPacketConnOfDialledHandle(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		server := w.listen(t)
		c := w.listen(t)
		p := c.PacketConn()
		if addr := p.RemoteAddr(); addr != nil {
			t.Errorf("the peer of an unconnected handle is %v", addr)
		}
		if err := c.Connect(server.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if addr, ok := p.RemoteAddr().(*net.UDPAddr); !ok || addr.AddrPort() != server.LocalAddr() {
			t.Errorf("the peer is %v, want %v", addr, server.LocalAddr())
		}
		if _, err := io.WriteString(p, "question"); err != nil {
			t.Fatal(err)
		}
		write(t, server.PacketConn(), "answer", read(t, server.PacketConn(), "question"))
		if from := read(t, p, "answer"); from.String() != server.LocalAddr().String() {
			t.Errorf("the answer is from %v", from)
		}
		_, err := p.WriteTo([]byte("x"), server.PacketConn().LocalAddr())
		conntest.CheckErrno(t, err, net.ErrWriteToConnected)
		for _, to := range []netip.AddrPort{server.LocalAddr(), {}} {
			_, err = p.WriteToUDPAddrPort([]byte("x"), to)
			conntest.CheckErrno(t, err, net.ErrWriteToConnected)
		}
		_, err = p.WriteTo([]byte("x"), (*net.UDPAddr)(nil))
		conntest.CheckErrno(t, err, net.ErrWriteToConnected)
		if err := c.Disconnect(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		} else if err == nil && p.RemoteAddr() != nil {
			t.Errorf("after Disconnect the peer is %v", p.RemoteAddr())
		}
	})
}

func TestPacketConnAddresses(t *testing.T) {
	c := conntest.Listen(t, "udp", ":0")
	p := c.PacketConn()
	local, ok := p.LocalAddr().(*net.UDPAddr)
	if !ok || local.AddrPort() != c.LocalAddr() {
		t.Errorf("LocalAddr %v, want %v", local, c.LocalAddr())
	}
	// The dual-stack handle's socket knows IPv4 peers by mapped addresses.
	if _, err := conntest.Socket(t).WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: local.Port}); err != nil {
		t.Fatal(err)
	}
	from := read(t, p, "x").(*net.UDPAddr)
	if len(from.IP) != net.IPv4len {
		t.Errorf("an IPv4 sender has %d bytes", len(from.IP))
	}
	if _, err := p.WriteTo([]byte("mapped"), &net.UDPAddr{IP: from.IP.To16(), Port: from.Port}); err != nil {
		t.Errorf("to a mapped address: %v", err)
	}
	if n := testing.AllocsPerRun(100, func() { p.LocalAddr() }); n != 0 {
		t.Errorf("LocalAddr allocates %v times", n)
	}
	c.Close()
	if got := p.LocalAddr(); got.String() != local.String() {
		t.Errorf("after Close LocalAddr is %v, want %v", got, local)
	}
}

func TestPacketConnWithoutSocket(t *testing.T) {
	c := conntest.New(t)
	p := c.PacketConn()
	if addr, ok := p.LocalAddr().(*net.UDPAddr); !ok || addr.Port != 0 {
		t.Errorf("LocalAddr %v", p.LocalAddr())
	}
	s := conntest.Socket(t)
	write(t, p, "x", s.LocalAddr())
	if addr := p.LocalAddr().(*net.UDPAddr); addr.Port == 0 {
		t.Error("the first write did not bind the handle")
	}
	reader := conntest.New(t).PacketConn()
	reader.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, _, err := reader.ReadFrom(make([]byte, 1))
	expectTimeout(t, "reading", err)
	if addr := reader.LocalAddr().(*net.UDPAddr); addr.Port == 0 {
		t.Error("the first read did not bind the handle")
	}
}

// Close ends all waits at once, and gives what is queued a second.
func TestCloseInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		slow := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpSend, Delay: time.Hour})
		c, err := datagram.Listen(t.Context(), "udp", "10.0.0.1:53", network.Option(), slow.Option(), datagram.WithSendQueue(1, 100))
		if err != nil {
			t.Fatal(err)
		}
		p := c.PacketConn()
		write(t, p, "queued", p.LocalAddr())
		ended := make(chan error, 3)
		for range 2 {
			go func() { ended <- conntest.Err(p.Read(make([]byte, 1))) }()
		}
		go func() { ended <- conntest.Err(p.WriteTo([]byte("waits"), p.LocalAddr())) }()
		synctest.Wait()
		start := time.Now()
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		for range cap(ended) {
			conntest.CheckErrno(t, <-ended, net.ErrClosed)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("they waited for %v", waited)
		}
		if err, took := <-closed, time.Since(start); err != nil || took != time.Second {
			t.Errorf("Close: %v after %v, want a second", err, took)
		}
	})
}

func TestCloseWakesAll(t *testing.T) {
	closes := map[string]func(c *datagram.Conn) error{
		"PacketConn": func(c *datagram.Conn) error { return c.PacketConn().Close() },
		"Conn":       (*datagram.Conn).Close,
	}
	ways(t, func(t *testing.T, w way) {
		for name, closes := range closes {
			c := w.listen(t)
			p := c.PacketConn()
			ended := startReaders(t, c, 3)
			if err := closes(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for range 3 {
				conntest.CheckErrno(t, await.Value(t, "a reader", ended), net.ErrClosed)
			}
			await.Closed(t, "Done", c.Done())
			for call, err := range map[string]error{
				"Close":       p.Close(),
				"Read":        conntest.Err(p.Read(nil)),
				"Write":       conntest.Err(p.Write(nil)),
				"WriteTo":     conntest.Err(p.WriteTo(nil, p.LocalAddr())),
				"foreign":     conntest.Err(p.WriteTo(nil, nil)),
				"SetDeadline": p.SetDeadline(time.Now()),
				"SyscallConn": conntest.Err(p.SyscallConn()),
			} {
				if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.Is(err, net.ErrClosed) {
					t.Errorf("after %s, %s: %v", name, call, err)
				}
			}
		}
	})
}

// Close sends what was written, and counts what was not read.
func TestPacketConnCloseSendsWhatIsQueued(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		const n = 50
		receiver := w.listen(t, datagram.WithReadBuffer(1<<20))
		c := w.listen(t)
		for i := range n {
			write(t, c.PacketConn(), fmt.Sprint(i), receiver.PacketConn().LocalAddr())
		}
		if err := c.PacketConn().Close(); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Sent != n {
			t.Errorf("sent %d of %d", s.Sent, n)
		}
		read(t, receiver.PacketConn(), "0")
		received := receiver.Stats().Received
		receiver.PacketConn().Close()
		if s := receiver.Stats(); s.Delivered != 1 || s.CloseDrops != received-1 {
			t.Errorf("delivered %d, dropped %d of %d", s.Delivered, s.CloseDrops, received)
		}
	})
}

func TestAddrPortMethodsAllocateNothing(t *testing.T) {
	for name, address := range map[string]string{"one address": "127.0.0.1:0", "wildcard": "0.0.0.0:0"} {
		from, to := conntest.Listen(t, "udp4", address), conntest.Listen(t, "udp4", address)
		a, b := from.UDPConn(), to.UDPConn()
		payload, p, oob := make([]byte, 1200), make([]byte, 1500), make([]byte, 128)
		for call, f := range map[string]func() error{
			"AddrPort": func() error {
				if _, err := a.WriteToUDPAddrPort(payload, conntest.Reachable(to)); err != nil {
					return err
				}
				_, _, err := b.ReadFromUDPAddrPort(p)
				return err
			},
			"MsgUDPAddrPort": func() error {
				if _, _, err := a.WriteMsgUDPAddrPort(payload, nil, conntest.Reachable(to)); err != nil {
					return err
				}
				_, _, _, _, err := b.ReadMsgUDPAddrPort(p, oob)
				return err
			},
		} {
			per := testenv.Allocations(t, func() {
				for range together {
					if err := f(); err != nil {
						t.Fatal(err)
					}
				}
			}) / together
			if per > 0.2 {
				t.Errorf("%s, %s: %.2f allocations a datagram", name, call, per)
			}
		}
	}
}

// A coalesced read through the descriptor would glue datagrams together.
func TestPacketConnSyscallConn(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if w.name == "simulated" {
			t.Skip("a simulated socket has no descriptor")
		}
		c := w.listen(t)
		raw, err := c.PacketConn().SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		called := false
		if err := raw.Control(func(uintptr) { called = true }); err != nil || !called {
			t.Errorf("Control: %v", err)
		}
		called = false
		if err := raw.Write(func(uintptr) bool { called = true; return true }); err != nil || !called {
			t.Errorf("Write: %v", err)
		}
		called = false
		err = raw.Read(func(uintptr) bool { called = true; return true })
		if c.Capabilities().GRO.Active {
			conntest.CheckErrno(t, err, errors.ErrUnsupported)
		} else if err != nil || !called {
			t.Errorf("Read: %v", err)
		}
		if w.name == "batch" && c.Capabilities().GRO.Active {
			t.Error("a handle with OffloadBatch coalesces")
		}
	})
}
