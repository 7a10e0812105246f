// Coap serves a few resources over CoAP (RFC 7252): /time, which can be read, and /note, which can also be written.
//
//	go run ./coap -listen 127.0.0.1:5683
//	coap-client coap://127.0.0.1/time
//	coap-client -m put -e hello coap://127.0.0.1/note
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
	listen := flag.String("listen", "127.0.0.1:5683", "`address` to listen on")
	command.Main("coap", "", func(ctx context.Context, _ []string) error { return run(ctx, *listen) })
}

func run(ctx context.Context, address string) error {
	logged := rate.Sometimes{Interval: time.Second}
	report := func(err error) { logged.Do(func() { log.Print(err) }) }
	conn, err := datagram.Listen(ctx, "udp", address, datagram.WithErrorHandler(report))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Println("listening on", conn.LocalAddr()); err != nil {
		return err
	}

	// Each answer is ready at once, so Serve needs no goroutine but this one, and what it sends leaves together.
	var resources resources
	failure := command.Serve(ctx, conn, func(d datagram.Datagram) {
		defer d.Release()
		reply, err := resources.answer(d.Payload)
		if err == nil && reply != nil {
			err = conn.Send(context.Background(), d.Reply(reply))
		}
		if err != nil {
			report(fmt.Errorf("%v: %w", d.Addr, err))
		}
	})
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	return errors.Join(failure, conn.Shutdown(expiring))
}
