// Statsd aggregates measurements, and prints them at intervals.
//
//	go run ./statsd -listen 127.0.0.1:8125
//	echo 'requests:1|c' | nc -u -w0 127.0.0.1 8125
package main

import (
	"bufio"
	"context"
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
	listen := flag.String("listen", "127.0.0.1:8125", "`address` to listen on")
	interval := flag.Duration("interval", 10*time.Second, "`time` between reports")
	command.Main("statsd", "", func(ctx context.Context, _ []string) error {
		if *interval <= 0 {
			return command.Usagef("interval %v is not positive", *interval)
		}
		return run(ctx, *listen, *interval)
	})
}

func run(ctx context.Context, address string, interval time.Duration) error {
	logged := rate.Sometimes{Interval: time.Second}
	conn, err := datagram.Listen(ctx, "udp", address, datagram.WithReadBuffer(4<<20),
		datagram.WithErrorHandler(func(err error) { logged.Do(func() { log.Print(err) }) }))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Println("listening on", conn.LocalAddr()); err != nil {
		return err
	}
	failure := errors.Join(aggregate(command.Recv(ctx, conn), interval), conn.Err())
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	return errors.Join(failure, conn.Shutdown(expiring))
}

// aggregate counts what arrives and prints it, at the end too. Recv, rather than Serve, lets one goroutine do both, so
// that nothing needs a lock.
func aggregate(received <-chan datagram.Datagram, interval time.Duration) error {
	metrics := newMetrics()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case d, ok := <-received:
			if !ok {
				return report(metrics)
			}
			metrics.add(d.Payload)
			d.Release()
		case <-ticker.C:
			if err := report(metrics); err != nil {
				return err
			}
			metrics.reset()
		}
	}
}

func report(m *metrics) error {
	out := bufio.NewWriter(os.Stdout)
	m.print(out)
	return out.Flush()
}
