package memberlist_test

import (
	"context"
	"fmt"
	"io"
	"log"

	upstream "github.com/hashicorp/memberlist"

	"example.com/datagram/adapters/memberlist"
)

// Two members on one host form a cluster.
func Example() {
	first := create("first")
	defer first.Shutdown()
	second := create("second")
	defer second.Shutdown()
	if _, err := second.Join([]string{first.LocalNode().Address()}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(second.NumMembers(), "members")
	// Output: 2 members
}

func create(name string) *upstream.Memberlist {
	config := upstream.DefaultLocalConfig()
	config.Name, config.LogOutput = name, io.Discard
	transport, err := memberlist.NewTransport(context.Background(), "127.0.0.1", 0)
	if err != nil {
		log.Fatal(err)
	}
	config.Transport = transport
	m, err := upstream.Create(config)
	if err != nil {
		log.Fatal(err)
	}
	return m
}
