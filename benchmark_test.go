package datagram_test

import (
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"

	"example.com/datagram"
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
	b.Run("net", func(b *testing.B) {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback4, 0)))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		to, buffer := addrOf(c), make([]byte, 2048)
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
