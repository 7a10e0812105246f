package quic_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"example.com/datagram"
	"example.com/datagram/adapters/quic"
)

// A client sends a message over a stream of QUIC, and the server prints it.
func ExampleNewTransport() {
	ctx := context.Background()
	serverTLS, clientTLS, err := newConfigs()
	if err != nil {
		log.Fatal(err)
	}
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	listening := quic.NewTransport(server)
	defer listening.Close()
	listener, err := listening.Listen(serverTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept(ctx)
		if err != nil {
			log.Fatal(err)
		}
		stream, err := conn.AcceptUniStream(ctx)
		if err != nil {
			log.Fatal(err)
		}
		text, err := io.ReadAll(stream)
		fmt.Printf("%s %v\n", text, err)
	}()

	client, err := datagram.Listen(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	dialling := quic.NewTransport(client)
	defer dialling.Close()
	conn, err := dialling.Dial(ctx, listener.Addr(), clientTLS, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.CloseWithError(0, "")
	stream, err := conn.OpenUniStream()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(stream, "hello")
	stream.Close()
	<-served
	// Output: hello <nil>
}
