package datagram_test

import (
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

// Benchmarks of the inner parts, for benchstat. Module bench compares with other packages.

var allMetadata = datagram.WithMetadata(datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime)

func benchmarkConn(b *testing.B, address string, opts ...datagram.Option) *datagram.Conn {
	b.Helper()
	c, err := datagram.Listen(b.Context(), "udp4", address, opts...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		c.Close()
		<-c.Done()
	})
	return c
}

// BenchmarkRoundTrip sends a datagram to itself and receives it: what the code costs, since hardly anybody has
// to be woken.
func BenchmarkRoundTrip(b *testing.B) {
	payload := make([]byte, 64)
	for _, kind := range addrPortConns {
		b.Run(kind.name, func(b *testing.B) {
			c := kind.listen(b)
			defer c.Close()
			to, buffer := conntest.AddrOf(c), make([]byte, 2048)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.WriteToUDPAddrPort(payload, to); err != nil {
					b.Fatal(err)
				}
				if _, _, err := c.ReadFromUDPAddrPort(buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	send := func(c *datagram.Conn, d datagram.Datagram) error { return c.Send(background, d) }
	trySend := func(c *datagram.Conn, d datagram.Datagram) error {
		_, err := c.TrySend(d)
		return err
	}
	for _, way := range []struct {
		name string
		run  func(b *testing.B, send func() error, c *datagram.Conn)
		send func(*datagram.Conn, datagram.Datagram) error
		opts []datagram.Option
	}{
		{"Recv+Send", receiveRoundTrips, send, nil},
		{"Recv+TrySend", receiveRoundTrips, trySend, nil},
		{"Serve+Send", serveRoundTrips, send, nil},
		{"Serve+TrySend", serveRoundTrips, trySend, nil},
		{"Serve+TrySend+metadata", serveRoundTrips, trySend, []datagram.Option{allMetadata}},
	} {
		b.Run(way.name, func(b *testing.B) {
			c := benchmarkConn(b, "127.0.0.1:0", way.opts...)
			d := datagram.To(c.LocalAddr(), payload)
			way.run(b, func() error { return way.send(c, d) }, c)
		})
	}
}

func receiveRoundTrips(b *testing.B, send func() error, c *datagram.Conn) {
	ch := c.Recv()
	b.ReportAllocs()
	for b.Loop() {
		if err := send(); err != nil {
			b.Fatal(err)
		}
		d := <-ch
		d.Release()
	}
}

func serveRoundTrips(b *testing.B, send func() error, c *datagram.Conn) {
	left := b.N
	b.ReportAllocs()
	if err := send(); err != nil {
		b.Fatal(err)
	}
	err := c.Serve(b.Context(), func(d datagram.Datagram) {
		d.Release()
		if left--; left == 0 {
			_ = c.StopRecv()
		} else if err := send(); err != nil {
			b.Error(err)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFlow sends as fast as the receiver keeps up.
func BenchmarkFlow(b *testing.B) {
	for _, flow := range []struct {
		name         string
		size         int
		destinations int
		opts         []datagram.Option
	}{
		{"64B", 64, 1, nil},
		{"1200B", 1200, 1, nil},
		{"1200B/metadata", 1200, 1, []datagram.Option{allMetadata}},
		{"1200B/100 destinations", 1200, 100, nil},
	} {
		b.Run(flow.name, func(b *testing.B) {
			if flow.destinations > 1 && runtime.GOOS != "linux" {
				b.Skip("127.0.0.2 and the like are addresses of the loopback interface on Linux only")
			}
			const inFlight = 1000 // what the kernel's buffer holds
			from := benchmarkConn(b, "0.0.0.0:0")
			to := benchmarkConn(b, "0.0.0.0:0", append(flow.opts, datagram.WithReadBuffer(8<<20))...)
			var addrs []netip.AddrPort
			for i := range flow.destinations {
				addrs = append(addrs, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i)}), to.LocalAddr().Port()))
			}
			var received atomic.Int64
			done := make(chan struct{})
			ch := to.Recv()
			go func() {
				defer close(done)
				for d := range ch {
					d.Release()
					if received.Add(1) == int64(b.N) {
						return
					}
				}
			}()
			payload := make([]byte, flow.size)
			b.SetBytes(int64(flow.size))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				for int64(i)-received.Load() > inFlight {
					runtime.Gosched()
				}
				if err := from.Send(background, datagram.To(addrs[i%len(addrs)], payload)); err != nil {
					b.Fatal(err)
				}
			}
			<-done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "datagrams/s")
		})
	}
}

// An addrPortConn is what net.UDPConn and PacketConn have in common.
type addrPortConn interface {
	net.PacketConn
	ReadFromUDPAddrPort(p []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(p []byte, addr netip.AddrPort) (int, error)
	SetReadBuffer(bytes int) error
}

var addrPortConns = []struct {
	name   string
	listen func(b *testing.B) addrPortConn
}{
	{"net", func(b *testing.B) addrPortConn {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(conntest.Localhost4, 0)))
		if err != nil {
			b.Fatal(err)
		}
		return c
	}},
	{"PacketConn", func(b *testing.B) addrPortConn { return benchmarkConn(b, "127.0.0.1:0").PacketConn() }},
}

// BenchmarkPacketConn compares with net.UDPConn what libraries do with a connection.
func BenchmarkPacketConn(b *testing.B) {
	for _, use := range []struct {
		name string
		run  func(b *testing.B, from, to addrPortConn)
	}{{"PingPong", pingPong}, {"Pump", pump}} {
		for _, kind := range addrPortConns {
			b.Run(use.name+"/"+kind.name, func(b *testing.B) {
				from, to := kind.listen(b), kind.listen(b)
				defer from.Close()
				defer to.Close()
				b.ReportAllocs()
				use.run(b, from, to)
			})
		}
	}
}

// pingPong has one datagram of 64 bytes in flight.
func pingPong(b *testing.B, from, to addrPortConn) {
	go func() {
		for p := make([]byte, 2048); ; {
			n, addr, err := to.ReadFromUDPAddrPort(p)
			if err != nil {
				return
			}
			if _, err := to.WriteToUDPAddrPort(p[:n], addr); err != nil {
				b.Error(err)
			}
		}
	}()
	p, addr := make([]byte, 2048), conntest.AddrOf(to)
	for b.Loop() {
		if _, err := from.WriteToUDPAddrPort(p[:64], addr); err != nil {
			b.Fatal(err)
		}
		if _, _, err := from.ReadFromUDPAddrPort(p); err != nil {
			b.Fatal(err)
		}
	}
}

// pump sends 1,200 bytes at a time, as fast as the receiver keeps up. It waits for that without using the
// processor.
func pump(b *testing.B, from, to addrPortConn) {
	const window = 1000
	if err := to.SetReadBuffer(8 << 20); err != nil {
		b.Fatal(err)
	}
	halves := make(chan struct{}, 2) // windows that were received
	go func() {
		for p, n := make([]byte, 2048), 1; ; n++ {
			if _, _, err := to.ReadFromUDPAddrPort(p); err != nil {
				return
			}
			if n%(window/2) == 0 {
				halves <- struct{}{}
			}
		}
	}()
	p, addr := make([]byte, 1200), conntest.AddrOf(to)
	for n := 0; b.Loop(); n++ {
		if n >= window && n%(window/2) == 0 {
			<-halves
		}
		if _, err := from.WriteToUDPAddrPort(p, addr); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHandles runs handles side by side, each of which sends itself one datagram after the other. With -cpu 1,2,4
// the time a datagram falls as far as the kernel lets it, and -mutexprofile shows what handles share.
func BenchmarkHandles(b *testing.B) {
	payload := make([]byte, 64)
	b.RunParallel(func(pb *testing.PB) {
		c, err := datagram.Listen(background, "udp4", "127.0.0.1:0")
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		d := datagram.To(c.LocalAddr(), payload)
		if _, err := c.TrySend(d); err != nil {
			b.Error(err)
			return
		}
		_ = c.Serve(background, func(received datagram.Datagram) {
			received.Release()
			if _, err := c.TrySend(d); err != nil || !pb.Next() {
				c.StopRecv()
			}
		})
	})
}
