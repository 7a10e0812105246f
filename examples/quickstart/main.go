// Quickstart runs a server and several clients on the loopback interface that
// exchange datagrams, many of them in flight, and accounts for each one. It
// fails unless the accounts add up.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/datagram"
)

func main() {
	n := flag.Int("n", 1_000_000, "how many `requests` to send in all; each is answered")
	clients := flag.Int("clients", 4, "`number` of clients")
	size := flag.Int("size", 100, "size of a request in `bytes`, 8 to 65507")
	window := flag.Int("window", 0, "most `requests` of a client in flight; 0 means as many as cannot overflow a buffer")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Usage: quickstart [flags]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *n < 1 || *clients < 1 || *size < sequenceSize || *size > 65507 || *window < 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*n, *clients, *size, *window); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(n, clients, size, window int) error {
	ctx := context.Background()
	buffer := datagram.WithReadBuffer(4 << 20) // the system grants less if it has to
	server, err := datagram.Listen(ctx, "udp", "127.0.0.1:0", buffer)
	if err != nil {
		return err
	}
	defer server.Close()
	if window == 0 {
		granted, err := server.ReadBuffer()
		if err != nil {
			return err
		}
		window = safeWindow(granted, size, clients)
	}

	all := make([]*client, clients)
	for i := range all {
		conn, err := datagram.Dial(ctx, "udp", server.LocalAddr().String(), buffer)
		if err != nil {
			return err
		}
		defer conn.Close()
		share := n / clients
		if i < n%clients {
			share++
		}
		all[i] = newClient(conn, share, size, window)
	}
	fmt.Printf("%d clients send %d requests of %d bytes to %v, up to %d each in flight\n",
		clients, n, size, server.LocalAddr(), window)

	answered := make(chan error, 1)
	read := uint64(0)
	go func() { answered <- answer(ctx, server, &read) }()
	stopProgress := showProgress(server, n)
	begin := time.Now()
	var group errgroup.Group
	for _, c := range all {
		group.Go(func() error { return c.run(ctx) })
	}
	err = group.Wait()
	elapsed := time.Since(begin)
	stopProgress()

	// Everything is where it will ever be. A reply that is still under way was
	// given up and shows in the ledger.
	deadline, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, c := range all {
		err = errors.Join(err, c.conn.Shutdown(deadline))
		c.drain()
	}
	if err := errors.Join(err, server.Shutdown(deadline), <-answered); err != nil {
		return err
	}
	return report(os.Stdout, server, all, read, elapsed)
}

// answer sends back what the server receives, until it is closed.
func answer(ctx context.Context, server *datagram.Conn, read *uint64) error {
	for d := range server.Recv() {
		*read++
		if err := server.Send(ctx, d.Reply(d.Payload)); err != nil {
			return err
		}
		d.Release()
	}
	if err := server.Err(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// safeWindow returns how many datagrams a client may have in flight so that
// those of all clients fit into one receive buffer. A system charges a buffer
// with more than the payload: Linux with up to twice the size, for it rounds to
// powers of two, and some hundred bytes.
func safeWindow(buffer, size, clients int) int {
	charge := 2 * (size + 1024)
	return min(max(buffer/charge/clients, 1), 1024)
}

// showProgress keeps a line of the terminal up to date until the function that
// it returns is called. Without a terminal it does nothing.
func showProgress(server *datagram.Conn, n int) (stop func()) {
	info, err := os.Stdout.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for begin := time.Now(); ; {
			select {
			case <-quit:
				fmt.Print("\r\033[K") // the ledger says it all
				return
			case now := <-ticker.C:
				got := server.Stats().Received
				fmt.Printf("\r%3d %%  %d requests  %.0f/s\033[K", got*100/uint64(n), got, float64(got)/now.Sub(begin).Seconds())
			}
		}
	}()
	return func() { close(quit); <-done }
}
