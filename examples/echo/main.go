// Echo answers every datagram with its own payload, on all given addresses.
//
//	go run ./examples/echo :7777 [::1]:7778
//
// On SIGINT or SIGTERM it answers what has been received, prints what became of all datagrams, and
// stops. A second signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
)

func main() {
	network := flag.String("network", "udp", "udp, udp4 or udp6")
	deadline := flag.Duration("deadline", 5*time.Second, "how long stopping may take")
	rate := flag.Float64("rate", 0, "answers per second for each network, 0 for no limit; sources may be forged")
	verbose := flag.Bool("verbose", false, "print each datagram")
	command.Main("echo", "[host]:port...", func(ctx context.Context, addresses []string) error {
		switch {
		case !(*rate >= 0): // or not a number
			return command.Usagef("-rate is %v, not 0 or more", *rate)
		case *deadline < 0:
			return command.Usagef("-deadline is %v, less than 0", *deadline)
		}
		return run(ctx, *network, addresses, *deadline, *rate, *verbose)
	})
}

func run(ctx context.Context, network string, addresses []string, deadline time.Duration, rate float64, verbose bool) error {
	// Do not stop because a client has gone away or cannot be reached.
	failures := newErrorLog(time.Second)
	var servers []*server
	for _, address := range addresses {
		conn, err := datagram.Listen(ctx, network, address, datagram.WithErrorHandler(failures.add))
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		defer conn.Close()
		servers = append(servers, &server{conn, newLimiter(rate), failures, verbose})
	}
	for _, s := range servers {
		if _, err := fmt.Println("listening on", s.conn.LocalAddr()); err != nil {
			return err
		}
	}

	// A server that fails stops the others.
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
		_, err := fmt.Printf("%v: received %d, answered %d, failed %d, refused %d; dropped: %d by the system, %d at the end\n",
			local, s.Received, s.Sent, s.SendErrors, server.limiter.refused, s.KernelDrops, s.CloseDrops)
		failure = errors.Join(failure, err)
	}
	return failure
}

// A server answers on one address. An answer is never longer than the question.
type server struct {
	conn     *datagram.Conn
	limiter  *limiter
	failures *errorLog
	verbose  bool
}

// serve answers until ctx ends or what it prints cannot be written, and then what has been received until then.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var unprinted error
	err := command.Serve(ctx, s.conn, func(d datagram.Datagram) {
		defer d.Release()
		if s.verbose && unprinted == nil {
			if _, unprinted = fmt.Printf("%v: %q\n", d.Addr, d.Payload); unprinted != nil {
				cancel()
			}
		}
		if !s.limiter.allows(d.Addr.Addr(), time.Now()) {
			return
		}
		if err := s.conn.Send(context.Background(), d.Reply(d.Payload)); err != nil {
			s.failures.add(err)
		}
	})
	return errors.Join(err, unprinted)
}
