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
	"strings"
	"sync"
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

// As for package net, Read leaves a datagram where it is if there is no memory for any of it. ReadFrom takes it.
func TestReadingIntoNothing(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		p := w.listen(t).PacketConn()
		p.SetReadDeadline(time.Now().Add(await.Limit))
		write(t, p, "kept", p.LocalAddr())
		for _, nothing := range [][]byte{nil, {}} {
			if n, err := p.Read(nothing); n != 0 || err != nil {
				t.Errorf("Read: %d, %v", n, err)
			}
		}
		read(t, p, "kept")
		write(t, p, "taken", p.LocalAddr())
		if n, from, err := p.ReadFrom(nil); n != 0 || from == nil || err != nil {
			t.Errorf("ReadFrom: %d from %v, %v", n, from, err)
		}
		p.SetReadDeadline(time.Now().Add(time.Millisecond))
		expectTimeout(t, "the next read", conntest.Err(p.Read(make([]byte, 1))))
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

func TestReadingClaimsReceiving(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t).PacketConn()
		p := c.PacketConn()
		to := p.LocalAddr()
		write(t, sender, "1", to)
		read(t, p, "1")
		if !c.Active() {
			t.Error("a handle that is read from is not active")
		}
		if _, ok := <-c.Recv(); ok {
			t.Error("Recv received beside a reader")
		}
		conntest.CheckErrno(t, c.Err(), syscall.EALREADY)
		conntest.CheckErrno(t, c.Serve(t.Context(), func(datagram.Datagram) {}), syscall.EALREADY)

		waiting := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 1))
			waiting <- err
		}()
		await.Until(t, "the reader to read", func() bool { // which it does at the latest when a datagram has come
			write(t, sender, "2", to)
			select {
			case err := <-waiting:
				waiting <- err
				return true
			default:
				return false
			}
		})
		<-waiting
		if err := c.StopRecv(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for d := range c.Recv() {
				if string(d.Payload) == "last" {
					c.StopRecv()
				}
			}
			waiting <- c.Err()
		}()
		await.Until(t, "Recv to receive", func() bool { return c.Active() })
		_, err := p.Read(make([]byte, 1))
		conntest.CheckErrno(t, err, syscall.EALREADY)
		write(t, sender, "last", to)
		if err := await.Value(t, "Recv to end", waiting); err != nil {
			t.Error(err)
		}
		conntest.CheckLedger(t, c.Stats())
	})
}

// Whoever receives next begins with what was received before and not read.
func TestNextReceiverGetsTheRest(t *testing.T) {
	const n = 40
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t, datagram.WithRecvQueue(10, datagram.Block)), w.listen(t)
		var batch []datagram.Datagram
		for i := range n {
			batch = append(batch, datagram.To(c.LocalAddr(), []byte(fmt.Sprintf("%02d", i))))
		}
		if _, err := sender.SendBatch(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		p := c.PacketConn()
		for i := 0; i < n; {
			read(t, p, fmt.Sprintf("%02d", i))
			c.StopRecv()
			d := await.Value(t, "the next", c.Recv())
			if got := string(d.Payload); got != fmt.Sprintf("%02d", i+1) {
				t.Fatalf("after %d, Recv received %s", i, got)
			}
			i += 2
			c.StopRecv() // and the channel keeps some
		}
		if s := c.Stats(); s.Received != n || s.Delivered != n {
			t.Errorf("received %d, delivered %d, want %d", s.Received, s.Delivered, n)
		}
	})
}

func TestStopRecvEndsReads(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t)
		p := c.PacketConn()
		const readers = 3
		ended := startReaders(t, c, readers)
		for range readers {
			await.Until(t, "a reader", func() bool {
				c.StopRecv() // again for those that had not begun to read
				return len(ended) > 0
			})
			conntest.CheckErrno(t, <-ended, syscall.ECANCELED)
		}
		write(t, sender.PacketConn(), "x", p.LocalAddr())
		read(t, p, "x")
	})
}

// startReaders starts goroutines that read until an error. They have claimed receiving when it returns.
func startReaders(t *testing.T, c *datagram.Conn, n int) <-chan error {
	t.Helper()
	ended := make(chan error, n)
	for range n {
		go func() {
			for p := make([]byte, 100); ; {
				if _, err := c.PacketConn().Read(p); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	await.Until(t, "a reader", c.Active)
	return ended
}

func TestEachDatagramGoesToOneReader(t *testing.T) {
	const readers, n = 4, 1000
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t, datagram.WithReadBuffer(4<<20)), w.listen(t).PacketConn()
		p := c.PacketConn()
		texts := make(chan string, n)
		var running sync.WaitGroup
		for range readers {
			running.Go(func() {
				for b := make([]byte, 100); ; {
					n, _, err := p.ReadFromUDPAddrPort(b)
					if err != nil {
						conntest.CheckErrno(t, err, net.ErrClosed)
						return
					}
					texts <- string(b[:n])
				}
			})
		}
		seen := make(map[string]bool)
		for i := range n {
			write(t, sender, fmt.Sprint(i), p.LocalAddr())
			if i%50 == 0 { // the receive buffer is not to run full
				seen[await.Value(t, "a datagram", texts)] = true
			}
		}
		for len(seen) < n {
			text := await.Value(t, "a datagram", texts)
			if seen[text] {
				t.Fatalf("%s was read twice", text)
			}
			seen[text] = true
		}
		p.Close()
		running.Wait()
	})
}

// Whoever leaves passes the turn on to one that waits.
func TestReadersTakeTurns(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		const readers = 3
		c, sender := w.listen(t), w.listen(t).PacketConn()
		texts := make(chan string, readers)
		for range readers {
			go func() {
				p := make([]byte, 100)
				n, err := c.PacketConn().Read(p)
				if err != nil {
					t.Errorf("Read: %v", err)
				}
				texts <- string(p[:n])
			}()
		}
		await.Until(t, "a reader", c.Active)
		for i := range readers {
			write(t, sender, fmt.Sprint(i), c.PacketConn().LocalAddr())
			if text := await.Value(t, "a datagram", texts); text != fmt.Sprint(i) {
				t.Errorf("read %q, want %d", text, i)
			}
		}
	})
}

func TestReadDeadline(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t), w.listen(t).PacketConn()
		p := c.PacketConn()
		read1 := func() error { return conntest.Err(p.Read(make([]byte, 100))) }

		// A deadline in the past comes before data, and loses none.
		write(t, sender, "x", p.LocalAddr())
		await.Until(t, "the datagram", func() bool { // so that there is one
			p.SetReadDeadline(time.Time{})
			read(t, p, "x")
			write(t, sender, "x", p.LocalAddr())
			return true
		})
		p.SetReadDeadline(time.Unix(1, 0))
		for range 3 {
			expectTimeout(t, "past", read1())
		}
		read(t, p, "x")

		// It wakes all who wait.
		p.SetReadDeadline(time.Time{})
		ended := startReaders(t, c, 3)
		p.SetReadDeadline(time.Now().Add(time.Hour))
		p.SetDeadline(time.Now().Add(5 * time.Millisecond))
		for range 3 {
			expectTimeout(t, "waiting", await.Value(t, "a reader", ended))
		}
		// Cleared, it is as if there had been none.
		p.SetReadDeadline(time.Time{})
		ended = startReaders(t, c, 1)
		p.SetReadDeadline(time.Now().Add(time.Hour))
		p.SetReadDeadline(time.Time{})
		p.SetReadDeadline(time.Unix(1, 0))
		expectTimeout(t, "moved to the past", await.Value(t, "a reader", ended))
		if op := (*net.OpError)(nil); !errors.As(read1(), &op) || op.Op != "read" || op.Source == nil {
			t.Errorf("the error is %+v", op)
		}
	})
}

// In a bubble, deadlines follow its clock.
func TestDeadlinesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Hour})
		defer network.Close()
		c, err := network.Listen(t.Context(), "udp", "10.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		sender, err := network.Dial(t.Context(), "udp", "10.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		defer sender.PacketConn().Close()
		p := c.PacketConn()
		defer p.Close()
		start := time.Now()
		if _, err := io.WriteString(sender.PacketConn(), "slow"); err != nil {
			t.Fatal(err)
		}
		elapsed := func(want time.Duration, err error) {
			t.Helper()
			if got := time.Since(start); got != want {
				t.Errorf("after %v, want %v: %v", got, want, err)
			}
		}
		b := make([]byte, 10)
		p.SetReadDeadline(start.Add(time.Minute))
		_, err = p.Read(b)
		expectTimeout(t, "a minute", err)
		elapsed(time.Minute, err)

		// Moved while somebody waits.
		p.SetReadDeadline(start.Add(2 * time.Minute))
		done := make(chan error, 1)
		go func() { done <- conntest.Err(p.Read(b)) }()
		synctest.Wait()
		p.SetReadDeadline(start.Add(3 * time.Minute))
		err = <-done
		elapsed(3*time.Minute, err)

		p.SetReadDeadline(start.Add(4 * time.Minute))
		go func() { done <- conntest.Err(p.Read(b)) }()
		synctest.Wait()
		p.SetReadDeadline(time.Time{})
		if err = <-done; err != nil {
			t.Errorf("reading what comes after an hour: %v", err)
		}
		elapsed(time.Hour, err)
	})
}

// Errors in a row, after which receiving pauses, neither delay refusals nor deadlines.
func TestErrorsDelayNoReader(t *testing.T) {
	for name, test := range map[string]struct {
		err, want error
		after     time.Duration
	}{
		"refusals": {syscall.ECONNREFUSED, syscall.ECONNREFUSED, 0},
		"others":   {syscall.EHOSTUNREACH, os.ErrDeadlineExceeded, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := datagramtest.NewNetwork(1, datagramtest.Link{})
				defer network.Close()
				failing := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpReceive, Err: test.err, Probability: 1})
				c, err := datagram.Dial(t.Context(), "udp", "10.0.0.1:53", network.Option(), failing.Option())
				if err != nil {
					t.Fatal(err)
				}
				p := c.PacketConn()
				defer p.Close()
				for range 40 {
					start := time.Now()
					p.SetReadDeadline(start.Add(time.Millisecond))
					conntest.CheckErrno(t, conntest.Err(p.Read(make([]byte, 1))), test.want)
					if took := time.Since(start); took != test.after {
						t.Fatalf("a read took %v, want %v", took, test.after)
					}
				}
			})
		})
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

// A deadline may be as far away as a time can be.
func TestFarDeadlines(t *testing.T) {
	p := conntest.Loopback(t).PacketConn()
	for _, far := range []time.Time{time.Unix(1<<40, 0), time.Unix(1<<62, 0)} {
		if err := p.SetDeadline(far); err != nil {
			t.Fatal(err)
		}
		write(t, p, "x", p.LocalAddr())
		if n, _, err := p.ReadFrom(nil); n != 0 || err != nil {
			t.Errorf("until %v: %d, %v", far, n, err)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c := w.listen(t)
		p, to := c.PacketConn(), c.LocalAddr()
		const most = 65507 // 65,535 bytes less the headers of IPv4 and UDP
		for _, bad := range []struct {
			name string
			err  error
			want error
		}{
			{"no address", conntest.Err(p.WriteTo(nil, nil)), syscall.EINVAL},
			{"address of TCP", conntest.Err(p.WriteTo(nil, &net.TCPAddr{IP: to.Addr().AsSlice(), Port: 1})), syscall.EINVAL},
			{"address of IP", conntest.Err(p.WriteTo(nil, &net.IPAddr{IP: to.Addr().AsSlice()})), syscall.EINVAL},
			{"half an address", conntest.Err(p.WriteTo(nil, &net.UDPAddr{IP: []byte{1, 2}, Port: 1})), syscall.EINVAL},
			{"another family", conntest.Err(p.WriteToUDPAddrPort(nil, netip.MustParseAddrPort("[::1]:9"))), syscall.EAFNOSUPPORT},
			{"port beyond", conntest.Err(p.WriteTo(nil, &net.UDPAddr{IP: to.Addr().AsSlice(), Port: 1 << 16})), syscall.EINVAL},
			{"port 0", conntest.Err(p.WriteToUDPAddrPort(nil, netip.AddrPortFrom(to.Addr(), 0))), syscall.EINVAL},
			{"nil address", conntest.Err(p.WriteTo(nil, (*net.UDPAddr)(nil))), syscall.EDESTADDRREQ},
			{"zero address", conntest.Err(p.WriteToUDPAddrPort(nil, netip.AddrPort{})), syscall.EDESTADDRREQ},
			{"unconnected", conntest.Err(p.Write(nil)), syscall.EDESTADDRREQ},
			{"too long", conntest.Err(p.WriteToUDPAddrPort(make([]byte, most+1), to)), syscall.EMSGSIZE},
		} {
			if op := (*net.OpError)(nil); !errors.As(bad.err, &op) || op.Op != "write" || !errors.Is(bad.err, bad.want) {
				t.Errorf("%s: %v, want %v", bad.name, bad.err, bad.want)
			}
		}
		if s := c.Stats(); s.Accepted != 0 {
			t.Errorf("%d bad datagrams were accepted", s.Accepted)
		}
		if n, err := p.WriteToUDPAddrPort(make([]byte, most), to); n != most || err != nil {
			t.Errorf("the largest datagram: %d, %v", n, err)
		}
		p.SetWriteDeadline(time.Unix(1, 0))
		expectTimeout(t, "past", conntest.Err(p.WriteToUDPAddrPort(nil, to)))
		p.SetWriteDeadline(time.Time{})
		if _, err := p.WriteToUDPAddrPort(nil, to); err != nil {
			t.Errorf("without a deadline: %v", err)
		}
	})
}

// As for package net, 0.0.0.0 and no IP are this host for IPv6 too. Other IPv4 addresses are refused at once.
func TestWritingIPv4OverIPv6(t *testing.T) {
	testenv.NeedIPv6(t)
	c := conntest.Listen(t, "udp6", "[::1]:0")
	p, port := c.PacketConn(), int(c.LocalAddr().Port())
	for _, ip := range []net.IP{nil, net.IPv4zero} {
		write(t, p, "x", &net.UDPAddr{IP: ip, Port: port})
		read(t, p, "x")
	}
	accepted := c.Stats().Accepted
	conntest.CheckErrno(t, conntest.Err(p.WriteTo(nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})), syscall.EAFNOSUPPORT)
	if c.Stats().Accepted != accepted {
		t.Error("it was accepted")
	}
}

// A write waits for room in the queue until the write deadline or Close.
func TestWriteWaitsForRoom(t *testing.T) {
	stall := func(t *testing.T) (*datagram.Conn, *datagram.PacketConn, <-chan error) {
		c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(1, 100))
		p := c.PacketConn()
		if _, err := io.WriteString(p, "queued"); err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() { written <- conntest.Err(io.WriteString(p, "waits")) }()
		return c, p, written
	}
	t.Run("deadline", func(t *testing.T) {
		_, p, written := stall(t)
		p.SetWriteDeadline(time.Now().Add(time.Hour))
		p.SetWriteDeadline(time.Now().Add(time.Millisecond))
		expectTimeout(t, "writing", await.Value(t, "the write", written))
	})
	t.Run("past", func(t *testing.T) {
		_, p, written := stall(t)
		p.SetWriteDeadline(time.Unix(1, 0))
		expectTimeout(t, "writing", await.Value(t, "the write", written))
	})
	t.Run("Close", func(t *testing.T) {
		c, p, written := stall(t)
		p.SetWriteDeadline(time.Now().Add(time.Hour))
		start := time.Now()
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if waited := time.Since(start); waited < time.Second {
			t.Errorf("Close gave what is queued only %v", waited)
		}
		conntest.CheckErrno(t, await.Value(t, "the write", written), net.ErrClosed)
		if s := c.Stats(); s.SendErrors == 0 {
			t.Error("what could not be sent is not counted")
		}
	})
}

// A lone datagram that the writer sends itself returns what the system says.
func TestWriteReturnsTheSystemsAnswer(t *testing.T) {
	c := conntest.Loopback(t)
	p := c.PacketConn()
	broadcast := netip.MustParseAddrPort("255.255.255.255:9")
	await.Until(t, "a write to be answered", func() bool { // the first few leave through a worker
		_, err := p.WriteToUDPAddrPort([]byte("x"), broadcast)
		if err != nil {
			conntest.CheckErrno(t, err, syscall.EACCES)
		}
		return err != nil
	})
}

func TestRefusal(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		if runtime.GOOS == "windows" && w.name != "simulated" {
			t.Skip("package net turns reports of refusals off (SIO_UDP_CONNRESET)")
		}
		dead, c := w.listen(t), w.listen(t)
		refusing := dead.LocalAddr()
		other := w.listen(t)
		if err := dead.Connect(other.LocalAddr()); err != nil { // a taken port that refuses all others
			t.Fatal(err)
		}
		if err := c.Connect(refusing); err != nil {
			t.Fatal(err)
		}
		p := c.PacketConn()
		p.SetReadDeadline(time.Now().Add(await.Limit))
		ended := make(chan error, 1)
		go func() { ended <- conntest.Err(p.Read(make([]byte, 1))) }()
		if _, err := io.WriteString(p, "x"); err != nil {
			t.Fatalf("the datagram that is refused: %v", err)
		}
		conntest.CheckErrno(t, await.Value(t, "the read", ended), syscall.ECONNREFUSED)
		p.SetReadDeadline(time.Now().Add(time.Millisecond))
		expectTimeout(t, "reading again", conntest.Err(p.Read(make([]byte, 1))))

		// Without a reader, writes tell.
		p.SetReadDeadline(time.Time{})
		c.StopRecv()
		written := uint64(0)
		var refused error
		await.Until(t, "a write to be refused", func() bool {
			if _, refused = io.WriteString(p, "x"); refused == nil {
				written++
			}
			return refused != nil
		})
		conntest.CheckErrno(t, refused, syscall.ECONNREFUSED)
		await.Until(t, "all others to be sent", func() bool { return c.Stats().Sent == 1+written })
	})
}

// What one peer refuses is nobody else's error.
func TestRefusalOfUnconnected(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		dead, c := w.listen(t), w.listen(t, w.networkErrors()...)
		if err := dead.Connect(w.listen(t).LocalAddr()); err != nil {
			t.Fatal(err)
		}
		other := w.listen(t)
		p := c.PacketConn()
		for i := range 20 {
			write(t, p, "refused", net.UDPAddrFromAddrPort(conntest.Reachable(dead)))
			write(t, p, fmt.Sprint(i), other.PacketConn().LocalAddr())
			read(t, other.PacketConn(), fmt.Sprint(i))
			write(t, other.PacketConn(), "answer", p.LocalAddr())
			read(t, p, "answer")
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

// needManyLoopbackAddresses skips a test where 127.0.0.2 is no address of this host.
func needManyLoopbackAddresses(t *testing.T) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.2:0")
	if err != nil {
		testenv.Skip(t, "127.0.0.2")
	}
	c.Close()
}

// A server on a wildcard answers from the address that was asked.
func TestAnswersComeFromTheAddressAsked(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		ask := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
		opts := w.opts(t)
		if w.name == "simulated" {
			ask = []string{"10.0.1.1", "10.0.1.2", "10.0.1.3"}
			network := datagramtest.NewNetwork(1, datagramtest.Link{})
			defer network.Close()
			var addrs []netip.Addr
			for _, a := range ask {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			host, err := network.AddHost(addrs...)
			if err != nil {
				t.Fatal(err)
			}
			opts = []datagram.Option{host.Option()}
			w.opts = func(*testing.T) []datagram.Option { return []datagram.Option{network.Option()} }
		} else {
			needManyLoopbackAddresses(t)
		}
		server := conntest.Listen(t, "udp", ":0", opts...)
		port := server.LocalAddr().Port()
		client := w.listen(t).PacketConn()
		for range 2 {
			for _, addr := range ask {
				asked := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), port))
				write(t, client, addr, asked)
				write(t, server.PacketConn(), "answer", read(t, server.PacketConn(), addr))
				if from := read(t, client, "answer"); from.String() != asked.String() {
					t.Errorf("asked %v, answered by %v", asked, from)
				}
			}
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

// A wait that was interrupted leaves the descriptor to others.
func TestRawReadAfterInterruption(t *testing.T) {
	for name, interrupt := range map[string]func(t *testing.T, c *datagram.Conn){
		"deadline": func(t *testing.T, c *datagram.Conn) {
			p := c.PacketConn()
			p.SetReadDeadline(time.Now().Add(time.Millisecond))
			expectTimeout(t, "the read", conntest.Err(p.Read(make([]byte, 1))))
		},
		"StopRecv": func(_ *testing.T, c *datagram.Conn) {
			c.Recv()
			c.StopRecv()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Loopback(t)
			interrupt(t, c)
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			await.Until(t, "a raw read", func() bool { return raw.Read(func(uintptr) bool { return true }) == nil })
		})
	}
}

// Writing conflicts with no way of receiving.
func TestWritingBesideRecv(t *testing.T) {
	c := conntest.Loopback(t)
	ch := c.Recv()
	write(t, c.PacketConn(), "to itself", c.PacketConn().LocalAddr())
	if text := conntest.Text(t, ch); text != "to itself" {
		t.Errorf("received %q", text)
	}
	if err := c.PacketConn().Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Err(); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Err after Close: %v", err)
	}
}
