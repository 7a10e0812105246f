package datagram_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

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
