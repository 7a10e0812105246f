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

// A completion function gets the outcome for its datagram.
func ExampleConn_SendFunc() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	answers := make(chan error)
	done := func(err error) { answers <- err }
	for _, size := range []int{100, 65_508} {
		if err := client.SendFunc(ctx, datagram.Datagram{Payload: make([]byte, size)}, done); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(<-answers)
	fmt.Println("too long:", errors.Is(<-answers, syscall.EMSGSIZE))
	// Output:
	// <nil>
	// too long: true
}

// SendBuffers gathers one datagram from a header and a body.
func ExampleConn_SendBuffers() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	header := datagram.Datagram{Payload: []byte("header ")}
	body := net.Buffers{[]byte("and "), []byte("body")}
	if err := client.SendBuffers(ctx, header, body, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", (<-server.Recv()).Payload)
	// Output: header and body
}

// Without a completion function, errors go to the error handler.
func ExampleWithErrorHandler() {
	ctx := context.Background()
	failures := make(chan error)
	conn, err := datagram.New(datagram.WithErrorHandler(func(err error) { failures <- err }))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	tooLong := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), make([]byte, 65_508))
	fmt.Println(conn.Send(ctx, tooLong)) // accepted
	fmt.Println("refused:", errors.Is(<-failures, syscall.EMSGSIZE))
	// Output:
	// <nil>
	// refused: true
}

// TryQueue suits senders that must not wait and can afford to lose a datagram.
func ExampleConn_TryQueue() {
	ctx := context.Background()
	collector, client := pair(ctx)
	defer collector.Close()
	defer client.Close()

	queued, dropped := 0, 0
	for range 1000 {
		switch err := client.TryQueue(datagram.Datagram{Payload: []byte("requests:1|c")}); err {
		case nil:
			queued++
		case datagram.ErrQueueFull:
			dropped++
		default:
			log.Fatal(err)
		}
	}
	fmt.Println("queued or dropped:", queued+dropped)
	// Output: queued or dropped: 1000
}

// TrySend makes the system call at once. Where that would block, fall back to
// the queue.
func ExampleConn_TrySend() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	d := datagram.Datagram{Payload: []byte("urgent")}
	_, err := client.TrySend(d)
	if errors.Is(err, datagram.ErrWouldBlock) {
		err = client.Send(ctx, d)
	}
	fmt.Println(err)
	fmt.Printf("%s\n", (<-server.Recv()).Payload)
	// Output:
	// <nil>
	// urgent
}

// TrySendBatch returns how many datagrams were sent, and why the next one was
// not.
func ExampleConn_TrySendBatch() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	n, err := client.TrySendBatch([]datagram.Datagram{
		{Payload: []byte("first")},
		{Payload: []byte("second")},
		{Payload: make([]byte, 65_508)},
		{Payload: []byte("not tried")},
	})
	fmt.Println(n, "sent, then one too long:", errors.Is(err, syscall.EMSGSIZE))
	for range n {
		fmt.Printf("%s\n", (<-server.Recv()).Payload)
	}
	// Output:
	// 2 sent, then one too long: true
	// first
	// second
}

// Flush waits until the system has answered for all queued datagrams.
func ExampleConn_Flush() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()
	defer client.Close()

	sendAll(ctx, client, "one", "two", "three")
	if err := client.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.SendQueueCount(), "datagrams,", client.SendQueueSize(), "bytes queued,", client.Stats().Sent, "sent")
	// Output: 0 datagrams, 0 bytes queued, 3 sent
}

// Shutdown sends what is queued before it closes the handle.
func ExampleConn_Shutdown() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer server.Close()

	sendAll(ctx, client, "last", "words")
	if err := client.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent:", client.Stats().Sent)
	fmt.Println("closed:", errors.Is(client.Send(ctx, datagram.Datagram{}), net.ErrClosed))
	for range 2 {
		fmt.Printf("%s\n", (<-server.Recv()).Payload)
	}
	// Output:
	// sent: 2
	// closed: true
	// last
	// words
}

// After Done, the handle calls no more functions of the program.
func ExampleConn_Done() {
	ctx := context.Background()
	server, client := pair(ctx)
	defer client.Close()

	handled := 0
	served := make(chan error)
	go func() {
		served <- server.Serve(ctx, func(d datagram.Datagram) {
			handled++
			server.Close() // allowed here; waiting for Done is not
		})
	}()
	sendAll(ctx, client, "hello")
	<-server.Done()
	fmt.Println("handled:", handled)
	fmt.Println("closed:", errors.Is(<-served, net.ErrClosed))
	// Output:
	// handled: 1
	// closed: true
}
