package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"runtime"
	"strings"
	"time"

	"example.com/datagram"
)

// pair returns a handle and a client connected to it.
func pair(ctx context.Context, opts ...datagram.Option) (server, client *datagram.Conn) {
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0", opts...)
	if err != nil {
		log.Fatal(err)
	}
	client, err = datagram.Dial(ctx, "udp", server.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	return server, client
}

// sendAll sends each text as a datagram.
func sendAll(ctx context.Context, client *datagram.Conn, texts ...string) {
	for _, text := range texts {
		if err := client.Send(ctx, datagram.Datagram{Payload: []byte(text)}); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleConn_Recv() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "one", "two", "")
	for d := range server.Recv() {
		fmt.Printf("%q, from the client: %v\n", d.Payload, d.Addr == client.LocalAddr())
		if len(d.Payload) == 0 {
			break
		}
		d.Release()
	}
	// Output:
	// "one", from the client: true
	// "two", from the client: true
	// "", from the client: true
}

// Serve handles datagrams on the calling goroutine until its context ends.
func ExampleConn_Serve() {
	server, client := pair(context.Background())
	defer server.Close()
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	sendAll(ctx, client, "hello", "stop")
	err := server.Serve(ctx, func(d datagram.Datagram) {
		fmt.Printf("%s\n", d.Payload)
		if string(d.Payload) == "stop" {
			cancel()
			return
		}
		answer := strings.ToUpper(string(d.Payload))
		if err := server.Send(ctx, d.Reply([]byte(answer))); err != nil {
			log.Print(err)
		}
		d.Release()
	})
	fmt.Println(err)
	fmt.Printf("%s\n", (<-client.Recv()).Payload)
	// Output:
	// hello
	// stop
	// context canceled
	// HELLO
}

// StopRecv stops receiving without losing a datagram, and Recv resumes it.
func ExampleConn_StopRecv() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "1", "2", "3")
	fmt.Printf("%s\n", (<-server.Recv()).Payload)

	if err := server.StopRecv(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("active:", server.Active(), "error:", server.Err())

	for range 2 {
		fmt.Printf("%s\n", (<-server.Recv()).Payload)
	}
	// Output:
	// 1
	// active: false error: <nil>
	// 2
	// 3
}

// Err tells why the channel was closed. It is nil if the program stopped
// receiving.
func ExampleConn_Err() {
	conn, err := datagram.Listen(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	for _, end := range []func() error{conn.StopRecv, conn.Close} {
		received := conn.Recv()
		if err := end(); err != nil {
			log.Fatal(err)
		}
		for d := range received {
			d.Release()
		}
		fmt.Println("stopped:", conn.Err() == nil, "closed:", errors.Is(conn.Err(), net.ErrClosed))
	}
	// Output:
	// stopped: true closed: false
	// stopped: false closed: true
}

// A slow reader gets the newest datagrams, and Stats counts those that were
// dropped.
func ExampleWithRecvQueue() {
	ctx := context.Background()
	server, client := pair(ctx, datagram.WithRecvQueue(2, datagram.DropOldest))
	defer server.Close()
	defer client.Close()

	received := server.Recv()
	sendAll(ctx, client, "1", "2", "3", "4", "5")
	for server.Stats().Received < 5 {
		runtime.Gosched() // the reader is busy elsewhere
	}
	for range 2 {
		fmt.Printf("%s\n", (<-received).Payload)
	}
	fmt.Println("dropped", server.Stats().PolicyDrops)
	// Output:
	// 4
	// 5
	// dropped 3
}

// WithMaxAge drops requests that nobody waits for any more.
func ExampleWithMaxAge() {
	ctx := context.Background()
	server, client := pair(ctx, datagram.WithMaxAge(time.Nanosecond))
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "too late")
	received := server.Recv()
	for server.Stats().StaleDrops == 0 {
		runtime.Gosched()
	}
	fmt.Println("left:", len(received))
	// Output: left: 0
}

// Longer datagrams are truncated.
func ExampleWithMaxDatagramSize() {
	ctx := context.Background()
	server, client := pair(ctx, datagram.WithMaxDatagramSize(5))
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "short", "a long one")
	for range 2 {
		d := <-server.Recv()
		fmt.Printf("%q partial %v\n", d.Payload, d.Partial)
	}
	// Output:
	// "short" partial false
	// "a lon" partial true
}

// Metadata tells where a datagram was sent to, and how.
func ExampleWithMetadata() {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0", datagram.WithMetadata(
		datagram.MetaLocal, datagram.MetaHopLimit, datagram.MetaTrafficClass, datagram.MetaTime))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := datagram.Dial(ctx, "udp4", server.LocalAddr().String(),
		datagram.WithTTL(7), datagram.WithTrafficClass(46<<2)) // expedited forwarding
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	sendAll(ctx, client, "hello")
	meta := (<-server.Recv()).Meta
	fmt.Println("to", meta.Local, "hop limit", meta.HopLimit, "DSCP", meta.TrafficClass>>2)
	fmt.Println("without ECN:", meta.ECN() == datagram.NotECT, "with a time:", !meta.Time.IsZero())
	// Output:
	// to 127.0.0.1 hop limit 7 DSCP 46
	// without ECN: true with a time: true
}

// A payload is valid until its release. A clone belongs to the program.
func ExampleDatagram_Clone() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "keep this")
	d := <-server.Recv()
	kept := d.Clone()
	d.Release()
	fmt.Printf("%s\n", kept.Payload)
	// Output: keep this
}

// Every datagram is accounted for.
func ExampleConn_Stats() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "1", "2", "3")
	for range 3 {
		d := <-server.Recv()
		if err := server.Send(ctx, d.Reply(d.Payload)); err != nil {
			log.Fatal(err)
		}
		d.Release()
	}
	if err := server.Flush(ctx); err != nil {
		log.Fatal(err)
	}

	s := server.Stats()
	fmt.Println("received", s.Received, "=", s.Delivered, "delivered +",
		s.PolicyDrops+s.StaleDrops+s.CloseDrops, "dropped +", s.Held, "held")
	fmt.Println("accepted", s.Accepted, "=", s.Sent, "sent +", s.SendErrors, "failed +", s.Queued, "queued")
	fmt.Println("dropped by the system", s.KernelDrops)
	// Output:
	// received 3 = 3 delivered + 0 dropped + 0 held
	// accepted 3 = 3 sent + 0 failed + 0 queued
	// dropped by the system 0
}

// Capabilities tell which of the system's features a handle uses.
func ExampleWithOffload() {
	conn, err := datagram.Listen(context.Background(), "udp", "127.0.0.1:0", datagram.WithOffload(datagram.OffloadNone))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	c := conn.Capabilities()
	fmt.Println("several datagrams in a system call:", c.Batch.Active)
	fmt.Println("segmentation and coalescing:", c.GSO.Active, c.GRO.Active)
	// Output:
	// several datagrams in a system call: false
	// segmentation and coalescing: false false
}
