// Sntp tells the time of this machine's clock (RFC 5905).
//
//	go run ./sntp -listen :1123
//	chronyd -Q 'server 127.0.0.1 port 1123 iburst'
//
// The kernel notes when a request arrives, so that what delays this program does not make the answer less exact. An answer
// is as long as the request, and only requests are answered, so that nobody can use the server to multiply traffic.
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
	listen := flag.String("listen", ":123", "`address` to listen on")
	stratum := flag.Int("stratum", 10, "distance of the clock from a reference, 1 to 15")
	command.Main("sntp", "", func(ctx context.Context, _ []string) error {
		if *stratum < 1 || *stratum > 15 {
			return command.Usagef("stratum %d is not in 1 to 15", *stratum)
		}
		return run(ctx, *listen, uint8(*stratum))
	})
}

func run(ctx context.Context, address string, stratum uint8) error {
	logged := rate.Sometimes{Interval: time.Second} // strangers can cause any number of errors
	report := func(err error) { logged.Do(func() { log.Print(err) }) }
	conn, err := datagram.Listen(ctx, "udp", address, datagram.WithMetadata(datagram.MetaTime), datagram.WithErrorHandler(report))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Println("listening on", conn.LocalAddr()); err != nil {
		return err
	}

	// Serve and TrySend have the lowest latency. TrySend does not queue: an answer that cannot leave now would be wrong
	// later, so it is dropped.
	failure := command.Serve(ctx, conn, func(d datagram.Datagram) {
		defer d.Release()
		if !isRequest(d.Payload) {
			return
		}
		received := d.Meta.Time
		if received.IsZero() {
			received = time.Now()
		}
		if _, err := conn.TrySend(d.Reply(answer(d.Payload, stratum, received, time.Now()))); err != nil {
			report(err)
		}
	})
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	return errors.Join(failure, conn.Shutdown(expiring))
}
