package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"syscall"

	"example.com/datagram"
)

// A member of a group receives datagrams that are sent to the group on the
// loopback interface.
func ExampleConn_JoinGroup() {
	ctx := context.Background()
	loopback, err := datagram.InterfaceByAddr(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		log.Fatal(err)
	}
	group := netip.MustParseAddr("239.192.7.1")

	member, err := datagram.Listen(ctx, "udp4", ":0")
	if err != nil {
		log.Fatal(err)
	}
	defer member.Close()
	if err := member.JoinGroup(group, loopback); err != nil {
		log.Fatal(err)
	}

	sender, err := datagram.New(datagram.WithMulticastInterface(loopback))
	if err != nil {
		log.Fatal(err)
	}
	defer sender.Close()
	to := netip.AddrPortFrom(group, member.LocalAddr().Port())
	if err := sender.Send(ctx, datagram.To(to, []byte("anybody there?"))); err != nil {
		log.Fatal(err)
	}

	d := <-member.Recv()
	fmt.Printf("%s to %v\n", d.Payload, d.Meta.Local)
	if err := member.Send(ctx, d.Reply([]byte("yes"))); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", (<-sender.Recv()).Payload)
	fmt.Println(member.LeaveGroup(group, loopback))
	// Output:
	// anybody there? to 239.192.7.1
	// yes
	// <nil>
}

// A source-specific member receives from one sender only.
func ExampleConn_JoinSourceGroup() {
	ctx := context.Background()
	source := netip.MustParseAddr("127.0.0.1")
	loopback, err := datagram.InterfaceByAddr(source)
	if err != nil {
		log.Fatal(err)
	}
	group := netip.MustParseAddr("232.1.2.3")

	member, err := datagram.Listen(ctx, "udp4", ":0")
	if err != nil {
		log.Fatal(err)
	}
	defer member.Close()
	if err := member.JoinSourceGroup(group, source, loopback); err != nil {
		log.Fatal(err)
	}

	to := netip.AddrPortFrom(group, member.LocalAddr().Port())
	for _, from := range []string{"127.0.0.2:0", "127.0.0.1:0"} {
		sender, err := datagram.Listen(ctx, "udp4", from, datagram.WithMulticastInterface(loopback))
		if err != nil {
			log.Fatal(err)
		}
		if _, err := sender.TrySend(datagram.To(to, []byte("from "+from))); err != nil {
			log.Fatal(err)
		}
		sender.Close()
	}
	fmt.Printf("%s\n", (<-member.Recv()).Payload)
	// Output: from 127.0.0.1:0
}

func ExampleConn_SetMulticastTTL() {
	loopback, err := datagram.InterfaceByAddr(netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := datagram.Listen(context.Background(), "udp4", ":0",
		datagram.WithMulticastTTL(4), datagram.WithMulticastLoopback(false))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	ttl, err := conn.MulticastTTL()
	fmt.Println("TTL", ttl, err)
	on, err := conn.MulticastLoopback()
	fmt.Println("to this host:", on, err)
	if err := conn.SetMulticastInterface(loopback); err != nil {
		log.Fatal(err)
	}
	ifi, err := conn.MulticastInterface()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("by the loopback interface:", ifi.Flags&net.FlagLoopback != 0)
	// Output:
	// TTL 4 <nil>
	// to this host: false <nil>
	// by the loopback interface: true
}

// A handle must be allowed to broadcast first.
func ExampleConn_SetBroadcast() {
	ctx := context.Background()
	server, err := datagram.Listen(ctx, "udp4", ":0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client, err := datagram.New()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	everybody := netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), server.LocalAddr().Port())
	_, err = client.TrySend(datagram.To(everybody, []byte("hello")))
	fmt.Println("refused:", errors.Is(err, syscall.EACCES))

	if err := client.SetBroadcast(true); err != nil {
		log.Fatal(err)
	}
	_, err = client.TrySend(datagram.To(everybody, []byte("hello")))
	fmt.Println("refused:", err != nil)
	fmt.Printf("%s\n", (<-server.Recv()).Payload)
	// Output:
	// refused: true
	// refused: false
	// hello
}

// The error handler receives ICMP errors about datagrams that the handle sent.
// They never fail another datagram.
func ExampleNetworkError() {
	ctx := context.Background()
	nobody, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	closed := nobody.LocalAddr()
	nobody.Close()

	reports := make(chan *datagram.NetworkError, 1)
	conn, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0", datagram.WithNetworkErrors(),
		datagram.WithErrorHandler(func(err error) {
			if report, ok := errors.AsType[*datagram.NetworkError](err); ok {
				reports <- report
			}
		}))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	conn.Recv() // the handle reads ICMP errors while it receives or sends
	if err := conn.Send(ctx, datagram.To(closed, []byte("anybody there?"))); err != nil {
		log.Fatal(err)
	}
	report := <-reports
	fmt.Println("about the datagram:", report.Dst == closed)
	fmt.Println("refused:", errors.Is(report, syscall.ECONNREFUSED), "by", report.Offender)
	// Output:
	// about the datagram: true
	// refused: true by 127.0.0.1
}
