// Echo answers every datagram with its own payload, on all addresses that it is given.
//
//	go run ./examples/echo :7777 [::1]:7778
//
// It stops on SIGINT or SIGTERM, after what it has queued is sent, and prints
// what became of every datagram. A second signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

func main() {
	network := flag.String("network", "udp", "udp, udp4 or udp6")
	deadline := flag.Duration("deadline", 5*time.Second, "how long a stop may take")
	rate := flag.Float64("rate", 0, "how many answers a second a network gets, 0 for any number: sources may be forged")
	verbose := flag.Bool("verbose", false, "print each datagram")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Usage: echo [flags] address ...\nAn address is host:port; without a host it is every address of this one.")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	log.SetFlags(0)
	log.SetPrefix("echo: ")
	if err := run(*network, flag.Args(), *deadline, *rate, *verbose); err != nil {
		log.Fatal(err)
	}
}

func run(network string, addresses []string, deadline time.Duration, rate float64, verbose bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from then on a signal has its usual effect

	var servers []*server
	for _, address := range addresses {
		// A client that went away, or cannot be reached, is no reason to stop.
		conn, err := datagram.Listen(ctx, network, address, datagram.WithErrorHandler(func(err error) { log.Print(err) }))
		if err != nil {
			return err
		}
		defer conn.Close()
		servers = append(servers, &server{conn, newLimiter(rate), verbose})
		fmt.Println("listening on", conn.LocalAddr())
	}

	// One server that fails stops the others.
	group, serving := errgroup.WithContext(ctx)
	for _, s := range servers {
		group.Go(func() error { return s.serve(serving) })
	}
	failure := group.Wait()

	expiring, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for _, server := range servers {
		local := server.conn.LocalAddr()
		if err := server.conn.Shutdown(expiring); err != nil && !errors.Is(err, net.ErrClosed) {
			failure = errors.Join(failure, fmt.Errorf("stopping %v: %w", local, err))
		}
		s := server.conn.Stats()
		fmt.Printf("%v: received %d, answered %d, failed %d, refused %d; dropped: %d by the system, %d at the end\n",
			local, s.Received, s.Sent, s.SendErrors, server.limiter.refused, s.KernelDrops, s.CloseDrops)
	}
	return failure
}

// A server answers on one address. An answer is never longer than the question.
type server struct {
	conn    *datagram.Conn
	limiter *limiter
	verbose bool
}

// serve answers until ctx ends.
func (s *server) serve(ctx context.Context) error {
	err := s.conn.Serve(ctx, func(d datagram.Datagram) {
		defer d.Release()
		if s.verbose {
			fmt.Printf("%v: %q\n", d.Addr, d.Payload)
		}
		if !s.limiter.allows(d.Addr.Addr(), time.Now()) {
			return
		}
		if err := s.conn.Send(ctx, d.Reply(d.Payload)); err != nil && ctx.Err() == nil {
			log.Print(err)
		}
	})
	if errors.Is(err, context.Canceled) {
		return nil // a signal, or another server that failed and says so
	}
	return err
}
