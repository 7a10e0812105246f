//go:build unix

package datagram_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"syscall"

	"example.com/datagram"
)

// socketpair returns two connected Unix datagram sockets.
func socketpair() (ours, theirs *os.File) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		log.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
}

// Open makes a handle from a descriptor, here from one end of a socketpair.
func ExampleOpen() {
	ctx := context.Background()
	ours, theirs := socketpair()
	defer theirs.Close()
	conn, err := datagram.Open(ours)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ours.Close() // the handle has a duplicate

	if err := conn.Send(ctx, datagram.Datagram{Payload: []byte("ping")}); err != nil {
		log.Fatal(err)
	}
	buf := make([]byte, 16)
	n, err := theirs.Read(buf)
	fmt.Printf("%s %v\n", buf[:n], err)

	if _, err := theirs.WriteString("pong"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", (<-conn.Recv()).Payload)
	// Output:
	// ping <nil>
	// pong
}

// The queue fills up when the system has no more room, here because nobody
// reads the other end.
func ExampleWithSendQueue() {
	ours, theirs := socketpair()
	defer theirs.Close()
	conn, err := datagram.Open(ours, datagram.WithSendQueue(4, 1<<20))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	ours.Close()

	d := datagram.Datagram{Payload: make([]byte, 1000)}
	for err == nil {
		_, err = conn.TrySend(d)
	}
	fmt.Println(err)

	err = nil
	for err == nil {
		err = conn.TryQueue(d)
	}
	fmt.Println(err)
	fmt.Println(conn.SendQueueCount(), "datagrams,", conn.SendQueueSize(), "bytes")
	// Output:
	// datagram: send would block
	// datagram: send queue full
	// 4 datagrams, 4000 bytes
}
