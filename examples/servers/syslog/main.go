// Syslog collects messages of RFC 5424 and RFC 3164, one in each datagram (RFC 5426), and prints them as lines of JSON.
//
//	go run ./syslog -listen 127.0.0.1:5514
//	logger --udp --server 127.0.0.1 --port 5514 hello
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/time/rate"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:514", "`address` to listen on")
	buffer := flag.Int("buffer", 4<<20, "`bytes` to ask of the system for messages that wait")
	command.Main("syslog", "", func(ctx context.Context, _ []string) error {
		if *buffer < 0 {
			return command.Usagef("buffer of %d bytes", *buffer)
		}
		return run(ctx, *listen, *buffer)
	})
}

func run(ctx context.Context, address string, buffer int) error {
	logged := rate.Sometimes{Interval: time.Second}
	conn, err := datagram.Listen(ctx, "udp", address,
		datagram.WithReadBuffer(buffer),              // a burst waits there,
		datagram.WithRecvQueue(1024, datagram.Block), // and here, while the output is slow
		datagram.WithMetadata(datagram.MetaTime),     // messages may lack a time that can be trusted
		datagram.WithErrorHandler(func(err error) { logged.Do(func() { log.Print(err) }) }))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Println("listening on", conn.LocalAddr()); err != nil {
		return err
	}
	// After a signal nothing more is received, and what was is printed.
	failure := errors.Join(printAll(command.Recv(ctx, conn)), conn.Err())
	if stats := conn.Stats(); failure == nil {
		log.Printf("received %d messages; the system dropped %d", stats.Received, stats.KernelDrops)
	}
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	return errors.Join(failure, conn.Shutdown(expiring))
}

// printAll prints messages until receiving ends. They come from Recv, not Serve, because a channel shows when no message
// waits: then the output is flushed.
func printAll(messages <-chan datagram.Datagram) error {
	parse := newParser()
	out := bufio.NewWriterSize(os.Stdout, 64<<10)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for d := range messages {
		entry := parse(d)
		d.Release() // entry has copies
		if err := encoder.Encode(entry); err != nil {
			return err
		}
		if len(messages) == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}
