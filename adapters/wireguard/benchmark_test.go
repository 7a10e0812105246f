package wireguard_test

import (
	"fmt"
	"testing"

	"example.com/datagram/adapters/wireguard"
	"golang.zx2c4.com/wireguard/conn"
)

// BenchmarkBind measures how many datagrams of 1,200 bytes arrive, in the batches of wireguard-go,
// through its own Bind and through this one.
func BenchmarkBind(b *testing.B) {
	for name, newBind := range map[string]func() conn.Bind{
		"wireguard-go": conn.NewDefaultBind,
		"datagram":     func() conn.Bind { return wireguard.NewBind() },
	} {
		b.Run(name, func(b *testing.B) {
			sender, receiver := newBind(), newBind()
			receive, port, err := receiver.Open(0)
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := sender.Open(0); err != nil {
				b.Fatal(err)
			}
			to, err := sender.ParseEndpoint(fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				b.Fatal(err)
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				bufs := buffers(65535)
				for {
					for i := range bufs {
						bufs[i] = bufs[i][:1200]
					}
					if sender.Send(bufs, to) != nil {
						return
					}
				}
			}()
			packets, sizes, eps := buffers(65535), make([]int, conn.IdealBatchSize), make([]conn.Endpoint, conn.IdealBatchSize)
			received, calls := 0, 0
			for b.Loop() {
				n, err := receive[0](packets, sizes, eps)
				if err != nil {
					b.Fatal(err)
				}
				received += n
				calls++
			}
			b.ReportMetric(float64(received)/b.Elapsed().Seconds(), "datagrams/s")
			b.ReportMetric(float64(received)/float64(calls), "datagrams/call")
			sender.Close()
			receiver.Close()
			<-sent
		})
	}
}

func buffers(size int) [][]byte {
	bufs := make([][]byte, conn.IdealBatchSize)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	return bufs
}
