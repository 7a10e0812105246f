package datagram_test

import (
	"context"
	"fmt"
	"log"

	"example.com/datagram"
)

// A successor receives on the sockets of its predecessor. Usually it is another
// process, started with the files.
func ExampleOpenGroup() {
	ctx := context.Background()
	predecessor, err := datagram.ListenGroup(ctx, "udp", "127.0.0.1:0", 2)
	if err != nil {
		log.Fatal(err)
	}
	files, err := predecessor.Files()
	if err != nil {
		log.Fatal(err)
	}
	successor, err := datagram.OpenGroup(files)
	if err != nil {
		log.Fatal(err)
	}
	defer successor.Close()
	for _, f := range files {
		f.Close()
	}
	fmt.Println("the same address:", successor.LocalAddr() == predecessor.LocalAddr())

	// The successor receives. Now the predecessor ends.
	if err := predecessor.DrainRecv(ctx); err != nil {
		log.Fatal(err)
	}
	if err := predecessor.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: the same address: true
}

// Each handle gets what one of two processors has received.
func ExampleWithSteering() {
	ctx := context.Background()
	group, err := datagram.ListenGroup(ctx, "udp", "127.0.0.1:0", 2, datagram.WithSteering(datagram.SteerCPU))
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()
	fmt.Println(len(group.Conns()), "handles, balancing", group.Conns()[0].Capabilities().Balancing)
	// Output: 2 handles, balancing on
}
