// Dns forwards questions to another DNS server, and remembers the answers.
//
//	go run ./dns -listen 127.0.0.1:5300 192.0.2.1:53
//	dig -p 5300 @127.0.0.1 example.com
//
// It speaks UDP alone: an answer that is too long is truncated, and the client has to ask the other server over TCP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"time"

	"golang.org/x/time/rate"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:53", "`address` to listen on; strangers abuse servers that they can reach")
	entries := flag.Int("cache", 10_000, "`answers` to remember")
	command.Main("dns", "upstream", func(ctx context.Context, args []string) error {
		if *entries < 1 {
			return command.Usagef("cache of %d answers: it needs one at least", *entries)
		}
		return run(ctx, *listen, args[0], *entries)
	})
}

func run(ctx context.Context, address, server string, entries int) error {
	logged := rate.Sometimes{Interval: time.Second} // strangers can cause any number of errors
	report := func(err error) { logged.Do(func() { log.Print(err) }) }
	onError := datagram.WithErrorHandler(report)
	up, err := datagram.Dial(ctx, "udp", server, onError) // hears this server only
	if err != nil {
		return err
	}
	defer up.Close()
	conn, err := datagram.Listen(ctx, "udp", address, onError, datagram.WithReadBuffer(4<<20)) // for bursts
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Println("listening on", conn.LocalAddr()); err != nil {
		return err
	}

	f := newForwarder(conn.Send, newUpstream(up), entries, report)
	listening := make(chan struct{})
	go func() { defer close(listening); f.upstream.listen() }()

	// Serve answers from the cache at once, and what it answers leaves together. Other questions wait in goroutines.
	failure := command.Serve(ctx, conn, f.handle)

	// What was asked is answered before the handles close, in the order in which they need each other.
	f.asking.Wait()
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	failure = errors.Join(failure, conn.Shutdown(expiring), up.Close())
	<-listening
	return failure
}
