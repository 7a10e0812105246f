package datagram

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	srv, err := Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for d := range srv.Recv() {
			srv.Send(ctx, d.Reply(d.Payload))
			d.Release()
		}
	}()
	c, err := Dial(ctx, "udp", srv.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := c.SendFunc(ctx, Datagram{Payload: []byte(fmt.Sprint("hi", i))}, func(err error) { t.Log("done", err) }); err != nil {
			t.Fatal(err)
		}
		select {
		case d := <-c.Recv():
			t.Logf("%q %v", d.Payload, d.Addr)
		case <-time.After(time.Second):
			t.Fatal("timeout")
		}
	}
	t.Logf("%+v", srv.Stats())
	t.Log(srv.Close(), c.Shutdown(ctx))
	<-srv.Done()
}

func BenchmarkFlow(b *testing.B) {
	for _, size := range []int{64, 1200} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ctx := context.Background()
			srv, _ := Listen(ctx, "udp", "127.0.0.1:0", WithReadBuffer(4<<20))
			c, _ := Dial(ctx, "udp", srv.LocalAddr().String(), WithWriteBuffer(4<<20))
			done := make(chan int)
			go func() {
				n := 0
				for d := range srv.Recv() {
					n++
					d.Release()
				}
				done <- n
			}()
			p := make([]byte, size)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				c.Send(ctx, Datagram{Payload: p})
			}
			c.Flush(ctx)
			b.StopTimer()
			st := c.Stats()
			srv.Close()
			n := <-done
			rs := srv.Stats()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds()/1e6, "Mrecv/s")
			b.ReportMetric(float64(n)/float64(b.N), "delivered")
			b.ReportMetric(float64(st.Sent)/float64(st.SendCalls), "per-send")
			b.ReportMetric(float64(rs.Received)/float64(rs.ReceiveCalls), "per-recv")
			c.Close()
		})
	}
}
