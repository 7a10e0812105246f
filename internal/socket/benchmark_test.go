package socket_test

import (
	"net"
	"net/netip"
	"testing"

	"example.com/datagram/internal/socket"
)

// BenchmarkPingPong exchanges one datagram at a time.
func BenchmarkPingPong(b *testing.B) {
	for _, i := range implementations {
		b.Run(i.name, func(b *testing.B) {
			client, server := openSocket(b, i.config), openSocket(b, i.config)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var batch socket.Batch
				var answer [1]socket.Outgoing
				for server.Receive(&batch) == nil {
					for _, m := range batch.Messages {
						answer[0] = socket.Outgoing{Addr: m.Addr, Payload: m.Payload}
						_, _ = server.Send(answer[:], true)
					}
				}
			}()
			question := []socket.Outgoing{{Addr: server.Info().Local, Payload: make([]byte, 64)}}
			var batch socket.Batch
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Send(question, true); err != nil {
					b.Fatal(err)
				}
				if err := client.Receive(&batch); err != nil {
					b.Fatal(err)
				}
			}
			_ = server.Close()
			<-done
		})
	}
	b.Run("net", func(b *testing.B) {
		client, server := benchmarkConn(b), benchmarkConn(b)
		done := make(chan struct{})
		go func() {
			defer close(done)
			buffer := make([]byte, 65536)
			for {
				n, addr, err := server.ReadFromUDPAddrPort(buffer)
				if err != nil {
					return
				}
				_, _ = server.WriteToUDPAddrPort(buffer[:n], addr)
			}
		}()
		addr := server.LocalAddr().(*net.UDPAddr).AddrPort()
		buffer := make([]byte, 65536)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.WriteToUDPAddrPort(buffer[:64], addr); err != nil {
				b.Fatal(err)
			}
			if _, _, err := client.ReadFromUDPAddrPort(buffer); err != nil {
				b.Fatal(err)
			}
		}
		_ = server.Close()
		<-done
	})
}

func benchmarkConn(b *testing.B) *net.UDPConn {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}
