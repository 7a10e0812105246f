package datagramtest_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func Example() {
	ctx := context.Background()
	network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: 5 * time.Millisecond, Jitter: time.Millisecond})
	defer network.Close()

	server, err := network.Listen(ctx, "udp", "10.0.0.1:53")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	go func() {
		for d := range server.Recv() {
			_ = server.Send(ctx, d.Reply([]byte("192.0.2.80")))
			d.Release()
		}
	}()

	client, err := network.Dial(ctx, "udp", "10.0.0.1:53")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	if err := client.Send(ctx, datagram.Datagram{Payload: []byte("example.com?")}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", (<-client.Recv()).Payload)
	fmt.Println(network.Stats())
	// Output:
	// 192.0.2.80
	// sent 2, delivered 2, lost 0, duplicated 0, reordered 0, corrupted 0, refused 0, overflowed 0, held 0
}

// TestNoAnswers is the example in the package documentation.
func TestNoAnswers(t *testing.T) {
	serve := func(server *datagram.Conn) {
		for d := range server.Recv() {
			_ = server.Send(context.Background(), d.Reply([]byte("192.0.2.80")))
			d.Release()
		}
	}
	ask := func(client *datagram.Conn, patience time.Duration) ([]byte, error) {
		for start := time.Now(); time.Since(start) < patience; {
			_ = client.Send(context.Background(), datagram.Datagram{Payload: []byte("example.com?")})
			select {
			case d := <-client.Recv():
				return d.Payload, nil
			case <-time.After(time.Second):
			}
		}
		return nil, os.ErrDeadlineExceeded
	}
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: 20 * time.Millisecond})
		defer network.Close()
		server, _ := network.Listen(t.Context(), "udp", "10.0.0.1:53")
		defer server.Close()
		client, _ := network.Dial(t.Context(), "udp", "10.0.0.1:53")
		defer client.Close()
		go serve(server)
		if _, err := ask(client, time.Hour); err != nil {
			t.Errorf("with answers: %v", err)
		}
		network.SetLink(netip.MustParsePrefix("10.0.0.1/32"), netip.Prefix{}, datagramtest.Link{Loss: 1})
		if _, err := ask(client, time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("without answers: %v", err)
		}
	})
}

// All questions arrive. First half of the answers are lost, then all of them.
func ExampleNetwork_SetLink() {
	ctx := context.Background()
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	client, _ := network.Listen(ctx, "udp", "10.1.0.1:7")
	server, _ := network.Listen(ctx, "udp", "10.2.0.1:7")
	defer client.Close()
	defer server.Close()

	for _, loss := range []float64{0.5, 1} {
		network.SetLink(netip.MustParsePrefix("10.2.0.0/16"), netip.MustParsePrefix("10.1.0.0/16"), datagramtest.Link{Loss: loss})
		before := network.Stats().Lost
		for range 100 {
			_, _ = client.TrySend(datagram.To(server.LocalAddr(), []byte("are you there?")))
			d := <-server.Recv()
			_, _ = server.TrySend(d.Reply([]byte("yes")))
		}
		fmt.Println(network.Stats().Lost-before, "of 100 lost")
	}
	// Output:
	// 51 of 100 lost
	// 100 of 100 lost
}

func ExampleNetwork_Filter() {
	ctx := context.Background()
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	client, _ := network.Listen(ctx, "udp", "10.1.0.1:7")
	server, _ := network.Listen(ctx, "udp", "10.2.0.1:7")
	defer client.Close()
	defer server.Close()

	sent := 0
	network.Filter(func(from, to netip.AddrPort, payload []byte) bool {
		sent++
		return sent != 3
	})
	for _, payload := range []string{"one", "two", "three", "four"} {
		_, _ = client.TrySend(datagram.To(server.LocalAddr(), []byte(payload)))
	}
	for range network.Stats().Delivered {
		fmt.Printf("%s\n", (<-server.Recv()).Payload)
	}
	// Output:
	// one
	// two
	// four
}

func ExampleNetwork_Partition() {
	ctx := context.Background()
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	east, _ := network.Listen(ctx, "udp", "10.1.0.1:7")
	west, _ := network.Listen(ctx, "udp", "10.2.0.1:7")
	defer east.Close()
	defer west.Close()

	heal := network.Partition(netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16"))
	_, _ = east.TrySend(datagram.To(west.LocalAddr(), []byte("are you there?")))
	heal()
	_, _ = east.TrySend(datagram.To(west.LocalAddr(), []byte("and now?")))
	fmt.Printf("%s\n", (<-west.Recv()).Payload)
	fmt.Println(network.Stats().Lost, "lost")
	// Output:
	// and now?
	// 1 lost
}

func ExampleNetwork_AddHost() {
	ctx := context.Background()
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	host, err := network.AddHost(netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"))
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := host.Listen(ctx, "udp", ":7")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	client, _ := network.Dial(ctx, "udp", "10.0.0.2:7")
	defer client.Close()
	_ = client.Send(ctx, datagram.Datagram{Payload: []byte("hello")})
	d := <-server.Recv()
	fmt.Printf("%s, sent to %v\n", d.Payload, d.Meta.Local)
	// Output: hello, sent to 10.0.0.2
}

// The second datagram of a handle on the system's network fails with ENOBUFS.
func ExampleFaults() {
	ctx := context.Background()
	faults := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpSend, After: 1, Err: syscall.ENOBUFS})
	conn, err := datagram.Listen(ctx, "udp", "127.0.0.1:0", faults.Option())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	for range 3 {
		_, err := conn.TrySend(datagram.To(conn.LocalAddr(), []byte("hello")))
		fmt.Println("no buffers:", errors.Is(err, syscall.ENOBUFS))
	}
	// Output:
	// no buffers: false
	// no buffers: true
	// no buffers: false
}
