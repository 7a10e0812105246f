package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"example.com/datagram"
)

// A server stops on a signal. It answers what it has received, sends what is
// queued, and only then closes the handle.
func Example_gracefulStop() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, client := pair(ctx)
	defer client.Close()

	sendAll(ctx, client, "a", "b", "c")
	err := server.Serve(ctx, func(d datagram.Datagram) {
		if err := server.Send(context.Background(), d.Reply(d.Payload)); err != nil {
			log.Print(err)
		}
		d.Release()
		if server.Stats().Delivered == 3 {
			stop() // as the signal would
		}
	})
	if !errors.Is(err, context.Canceled) { // what Serve returns on a clean end
		log.Fatal(err)
	}
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		log.Fatal(err)
	}
	s := server.Stats()
	fmt.Println("received", s.Received, "answered", s.Sent)
	// Output: received 3 answered 3
}

// A loop over Recv stops on a signal. StopRecv ends it after the datagrams that
// are in the channel, and Err is nil then.
func Example_gracefulStopOfLoop() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	server, client := pair(ctx)
	defer client.Close()

	sendAll(ctx, client, "a", "b", "c")
	run := func() error {
		defer server.Close()
		received := server.Recv() // first, since StopRecv ends only what has begun
		context.AfterFunc(ctx, func() { server.StopRecv() })
		answered := 0
		for d := range received {
			if err := server.Send(context.Background(), d.Reply(d.Payload)); err != nil { // also after the signal
				log.Print(err) // go on: strangers choose the address that this answers
			}
			d.Release()
			if answered++; answered == 3 {
				stop() // as the signal would
			}
		}
		if err := server.Err(); err != nil {
			return err
		}
		deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return server.Shutdown(deadline)
	}
	fmt.Println(run(), "answered", server.Stats().Sent)
	// Output: <nil> answered 3
}

// Several goroutines read one channel. Each datagram goes to one of them.
func Example_workers() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer client.Close()

	received := server.Recv() // once: a late worker must not resume receiving
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for d := range received {
				if err := server.Send(ctx, d.Reply(d.Payload)); err != nil {
					log.Print(err)
				}
				d.Release()
			}
		})
	}
	sendAll(ctx, client, "1", "2", "3")
	sum := 0
	for range 3 {
		d := <-client.Recv()
		sum += int(d.Payload[0] - '0')
		d.Release()
	}
	server.StopRecv() // closes the channel: the workers end when it is empty
	workers.Wait()
	fmt.Println("sum of the answers:", sum, server.Err(), server.Close())
	// Output: sum of the answers: 6 <nil> <nil>
}

// A client chooses the local address by binding the handle before it connects.
func ExampleConn_Connect_localAddress() {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0") // or an address of one interface, or a port
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	local := client.LocalAddr()
	if err := client.Connect(server.LocalAddr()); err != nil {
		log.Fatal(err)
	}
	sendAll(ctx, client, "hello")
	d := <-server.Recv()
	fmt.Println("from the chosen address:", d.Addr == local)
	// Output: from the chosen address: true
}

// A service on every interface. Meta.IfIndex tells which one a datagram came in
// on, and chooses the one to send on.
func ExampleConn_JoinGroup_everyInterface() {
	group := netip.MustParseAddr("ff02::114") // link-local: each interface has one of its own (RFC 4291)
	conn, err := datagram.Listen(context.Background(), "udp6", "[::]:5007")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	interfaces, err := net.Interfaces()
	if err != nil {
		log.Fatal(err)
	}
	for _, ifi := range interfaces {
		if ifi.Flags&net.FlagMulticast == 0 || ifi.Flags&net.FlagUp == 0 {
			continue
		}
		if err := conn.JoinGroup(group, &ifi); err != nil {
			log.Printf("%s: %v", ifi.Name, err)
		}
	}
	for d := range conn.Recv() {
		announcement := datagram.To(netip.AddrPortFrom(group, 5007), d.Payload)
		announcement.Meta.IfIndex = d.Meta.IfIndex // to the group on the same link
		if err := conn.Send(context.Background(), announcement); err != nil {
			log.Print(err)
		}
		d.Release()
	}
}

// A client whose server is down: UDP itself says nothing, but a host without
// the server may, and the error handler is told.
func ExampleConn_SetErrorHandler() {
	ctx := context.Background()
	closed, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		log.Fatal(err)
	}
	closed.Close()

	client, err := datagram.Dial(ctx, "udp4", closed.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	failed := make(chan error, 1)
	client.SetErrorHandler(func(err error) {
		select {
		case failed <- err:
		default: // one is enough to know
		}
	})
	client.Recv() // the error is met by receiving, or by a later send
	sendAll(ctx, client, "anybody there?")
	fmt.Println("refused:", errors.Is(<-failed, syscall.ECONNREFUSED))
	// Output: refused: true
}
