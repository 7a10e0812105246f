package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"example.com/datagram"
)

// A server answers every datagram of a client.
func Example() {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for d := range server.Recv() {
			if err := server.Send(ctx, d.Reply(d.Payload)); err != nil {
				log.Print(err)
			}
			d.Release()
		}
	}()

	client, err := datagram.Dial(ctx, "udp", server.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	if err := client.Send(ctx, datagram.Datagram{Payload: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	d := <-client.Recv()
	fmt.Printf("%s\n", d.Payload)
	d.Release()

	client.Close()
	server.Close()
	// Output: hello
}

// Each peer gets a goroutine of its own, as a connection would.
func Example_goroutinePerPeer() {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}

	// converse answers and counts the datagrams of one peer until its channel
	// is closed.
	converse := func(inbox <-chan datagram.Datagram) {
		n := 0
		for d := range inbox {
			n++
			answer := fmt.Appendf(nil, "%s %d", d.Payload, n)
			if err := server.Send(ctx, d.Reply(answer)); err != nil {
				log.Print(err)
			}
			d.Release()
		}
	}
	var peers sync.WaitGroup
	peers.Go(func() {
		inboxes := make(map[netip.AddrPort]chan datagram.Datagram)
		for d := range server.Recv() {
			inbox := inboxes[d.Addr]
			if inbox == nil {
				inbox = make(chan datagram.Datagram, 16)
				inboxes[d.Addr] = inbox
				peers.Go(func() { converse(inbox) })
			}
			select {
			case inbox <- d:
			default:
				d.Release() // this peer is too fast; the others go on
			}
		}
		for _, inbox := range inboxes {
			close(inbox)
		}
	})

	for _, name := range []string{"ann", "bob"} {
		client, err := datagram.Dial(ctx, "udp", server.LocalAddr().String())
		if err != nil {
			log.Fatal(err)
		}
		for range 2 {
			if err := client.Send(ctx, datagram.Datagram{Payload: []byte(name)}); err != nil {
				log.Fatal(err)
			}
			fmt.Printf("%s\n", (<-client.Recv()).Payload)
		}
		client.Close()
	}
	server.Close()
	peers.Wait()
	// Output:
	// ann 1
	// ann 2
	// bob 1
	// bob 2
}

func ExampleListen() {
	conn, err := datagram.Listen(context.Background(), "udp4", "127.0.0.1:0", datagram.WithTTL(8))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	ttl, err := conn.TTL()
	fmt.Println("bound to", conn.LocalAddr().Addr(), "with TTL", ttl, err)
	// Output: bound to 127.0.0.1 with TTL 8 <nil>
}

func ExampleDial() {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, err := datagram.Dial(ctx, "udp", server.LocalAddr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	fmt.Println("connected to the server:", client.RemoteAddr() == server.LocalAddr())
	fmt.Println("from", client.LocalAddr().Addr())
	// Output:
	// connected to the server: true
	// from 127.0.0.1
}

// New returns a handle without a socket.
func ExampleNew() {
	conn, err := datagram.New(datagram.WithReadBuffer(64 << 10))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Println("has a local address:", conn.LocalAddr().IsValid())

	// The first use creates the socket. Call Bind to choose the address.
	_, err = conn.TrySend(datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), []byte("x")))
	fmt.Println("has a local address:", conn.LocalAddr().IsValid(), err)
	// Output:
	// has a local address: false
	// has a local address: true <nil>
}

func ExampleConn_Bind() {
	ctx := context.Background()
	conn, err := datagram.New()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	fmt.Println(conn.Bind(ctx, "udp4", "127.0.0.1:0"))
	err = conn.Bind(ctx, "udp4", "127.0.0.1:0")
	fmt.Println("can be bound only once:", errors.Is(err, syscall.EINVAL))
	// Output:
	// <nil>
	// can be bound only once: true
}

func ExampleConn_Connect() {
	ctx := context.Background()
	peer, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer peer.Close()
	conn, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	if err := conn.Connect(peer.LocalAddr()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(conn.Send(ctx, datagram.Datagram{Payload: []byte("to the peer")}))
	err = conn.Send(ctx, datagram.To(peer.LocalAddr(), []byte("to the peer")))
	fmt.Println("rejects an address:", errors.Is(err, syscall.EISCONN))

	local := conn.LocalAddr()
	if err := conn.Disconnect(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("connected:", conn.RemoteAddr().IsValid())
	fmt.Println("the same local address:", conn.LocalAddr() == local)
	// Output:
	// <nil>
	// rejects an address: true
	// connected: false
	// the same local address: true
}

func ExampleResolve() {
	ctx := context.Background()
	addr, err := datagram.Resolve(ctx, "udp", "127.0.0.1:domain")
	fmt.Println(addr, err)
	addr, err = datagram.Resolve(ctx, "udp6", "[::1]:53")
	fmt.Println(addr, err)
	// Output:
	// 127.0.0.1:53 <nil>
	// [::1]:53 <nil>
}

// Data attaches the program's own data to a handle.
func ExampleConn_Data() {
	type session struct{ user string }
	conn, err := datagram.New(datagram.WithData(&session{user: "ann"}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	conn.Data().(*session).user = "bob"
	fmt.Println(conn.Data().(*session).user)
	conn.SetData(nil)
	fmt.Println(conn.Data())
	// Output:
	// bob
	// <nil>
}

func ExampleConn_SetTTL() {
	conn, err := datagram.New()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	fmt.Println(conn.SetTTL(16)) // remembered until there is a socket
	fmt.Println("256 is too much:", errors.Is(conn.SetTTL(256), syscall.EINVAL))
	fmt.Println(conn.TTL())
	// Output:
	// <nil>
	// 256 is too much: true
	// 16 <nil>
}

// The system may grant more or less than was requested, so check what it
// granted.
func ExampleConn_SetReadBuffer() {
	conn, err := datagram.Listen(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	const wanted = 128 << 10
	if err := conn.SetReadBuffer(wanted); err != nil {
		log.Fatal(err)
	}
	granted, err := conn.ReadBuffer()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("at least what was requested:", granted >= wanted)
	// Output: at least what was requested: true
}

// The function gets each socket before it is bound, like that of
// [net.ListenConfig].
func ExampleWithControl() {
	control := func(network, address string, c syscall.RawConn) error {
		fmt.Println(network, address)
		return c.Control(func(fd uintptr) {
			// Set socket options that the package does not offer.
		})
	}
	conn, err := datagram.Listen(context.Background(), "udp4", "127.0.0.1:0", datagram.WithControl(control))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	// Output: udp4 127.0.0.1:0
}

// SyscallConn gives access to what the package does not offer.
func ExampleConn_SyscallConn() {
	conn, err := datagram.Listen(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	raw, err := conn.SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) { fmt.Println("a descriptor:", fd > 0) })
	fmt.Println(err)
	// Output:
	// a descriptor: true
	// <nil>
}

func ExampleInterfaceByAddr() {
	ifi, err := datagram.InterfaceByAddr(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("loopback:", ifi.Flags&net.FlagLoopback != 0)
	// Output: loopback: true
}
