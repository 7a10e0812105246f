package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"example.com/datagram"
)

// A group receives on several processors. Here it is an echo server.
func ExampleListenGroup() {
	ctx, stop := context.WithCancel(context.Background())
	group, err := datagram.ListenGroup(ctx, "udp", "127.0.0.1:0", 0)
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()

	go func() {
		client, err := datagram.Dial(ctx, "udp", group.LocalAddr().String())
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		sendAll(ctx, client, "hello")
		fmt.Printf("%s\n", (<-client.Recv()).Payload)
		stop()
	}()

	err = group.Serve(ctx, func(conn *datagram.Conn, d datagram.Datagram) { // concurrently for each handle
		if err := conn.Send(ctx, d.Reply(d.Payload)); err != nil {
			log.Print(err)
		}
		d.Release()
	})
	fmt.Println(err)
	// Output:
	// hello
	// context canceled
}

// A server that ends answers what it has taken from the system, and takes no
// more.
func ExampleConn_DrainRecv() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer client.Close()

	served := make(chan error)
	go func() {
		served <- server.Serve(ctx, func(d datagram.Datagram) {
			if err := server.Send(ctx, d.Reply(d.Payload)); err != nil {
				log.Print(err)
			}
		})
	}()
	sendAll(ctx, client, "a question")
	fmt.Printf("%s\n", (<-client.Recv()).Payload)

	if err := server.DrainRecv(ctx); err != nil { // the handler has been called for the last time
		log.Fatal(err)
	}
	if err := server.Shutdown(ctx); err != nil { // the last answer is sent
		log.Fatal(err)
	}
	fmt.Println("served:", <-served)
	fmt.Println("closed:", errors.Is(server.Err(), net.ErrClosed))
	// Output:
	// a question
	// served: <nil>
	// closed: true
}
