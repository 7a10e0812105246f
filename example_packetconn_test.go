package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"time"

	"example.com/datagram"
)

// A library serves on any net.PacketConn until it is closed.
func serveEcho(conn net.PacketConn) error {
	p := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(p)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(p[:n], from); err != nil {
			return err
		}
	}
}

func ExampleConn_PacketConn() {
	ctx := context.Background()
	server, client := pair(ctx, datagram.WithReadBuffer(4<<20))

	served := make(chan error)
	go func() { served <- serveEcho(server.PacketConn()) }()

	// A dialled handle is a net.Conn.
	var conn net.Conn = client.PacketConn()
	fmt.Fprint(conn, "hello")
	p := make([]byte, 1500)
	n, err := conn.Read(p)
	fmt.Printf("%s %v\n", p[:n], err)

	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err = conn.Read(p)
	fmt.Println("deadline exceeded:", errors.Is(err, os.ErrDeadlineExceeded))

	conn.Close()
	server.PacketConn().Close()
	fmt.Println("closed:", errors.Is(<-served, net.ErrClosed))
	// Output:
	// hello <nil>
	// deadline exceeded: true
	// closed: true
}

func ExampleConn_UDPConn() {
	server, client := pair(context.Background())
	defer server.Close()
	defer client.Close()

	// What a library such as quic-go asks of a connection.
	type oobConn interface {
		net.PacketConn
		ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
		WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error)
	}
	var conn oobConn = server.UDPConn()
	sendAll(context.Background(), client, "hello")
	p, oob := make([]byte, 1500), make([]byte, 128)
	n, _, _, from, err := conn.ReadMsgUDP(p, oob)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, from the client: %v\n", p[:n], from.AddrPort() == client.LocalAddr())
	// Output: hello, from the client: true
}
