// Quickstart runs a server and several clients on the loopback interface. They exchange datagrams,
// many of them in flight, and the program accounts for each. It fails unless the accounts add up. After SIGINT or
// SIGTERM it sends no more requests, and accounts for those that were sent.
//
//	go run ./examples/quickstart
//
// All counts are exact but one: datagrams that the system drops together, because a receive buffer is
// full, it counts as one. Such a count is marked as a lower bound.
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
	"example.com/datagram/examples/internal/command"
)

func main() {
	n := flag.Int("n", 1_000_000, "total number of `requests`, each of which is answered")
	clients := flag.Int("clients", 4, "`number` of clients")
	size := flag.Int("size", 100, "size of a request in `bytes`, 8 to 65507")
	window := flag.Int("window", 0, "maximum number of `requests` of a client in flight; 0 means as many as fit into the receive buffer")
	command.Main("quickstart", "", func(ctx context.Context, _ []string) error {
		switch {
		case *n < 1:
			return command.Usagef("-n is %d, less than 1", *n)
		case *clients < 1:
			return command.Usagef("-clients is %d, less than 1", *clients)
		case *size < sequenceSize || *size > 65507:
			return command.Usagef("-size is %d, not in %d…65507", *size, sequenceSize)
		case *window < 0:
			return command.Usagef("-window is %d, less than 0", *window)
		}
		return run(ctx, *n, *clients, *size, *window)
	})
}

func run(ctx context.Context, n, clients, size, window int) error {
	buffer := datagram.WithReadBuffer(4 << 20) // the system may grant less
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
	if _, err := fmt.Printf("%s of %d bytes to %v from %s, up to %d in flight from each\n",
		count(n, "request"), size, server.LocalAddr(), count(clients, "client"), window); err != nil {
		return err
	}
	countedAsOne := coalesced(all[0].conn, server)

	answered := make(chan error, 1)
	read := uint64(0)
	go func() { answered <- answer(server, &read) }()
	stopProgress := showProgress(server, n)
	begin := time.Now()
	var group errgroup.Group
	for _, c := range all {
		group.Go(func() error { return c.run(ctx) })
	}
	err = group.Wait()
	elapsed := time.Since(begin)
	stopProgress()

	// Nothing is in transit now, except replies to requests that were given up. Those show in the
	// ledger.
	deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, c := range all {
		err = errors.Join(err, c.conn.Shutdown(deadline))
		c.drain()
	}
	if err := errors.Join(err, server.Shutdown(deadline), <-answered); err != nil {
		return err
	}
	if err := report(os.Stdout, server, all, read, countedAsOne, elapsed); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("ended early: %w", context.Cause(ctx))
	}
	return nil
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprint(n, " ", what)
}

// coalesced returns how many datagrams between two handles of a host the system counts as one, at
// most, when it drops them. It drops a segmented batch as a whole if the receiver takes it as a
// whole.
func coalesced(client, server *datagram.Conn) uint64 {
	one, other := client.Capabilities(), server.Capabilities()
	if !one.GSO.Active || !other.GRO.Active { // the two have the same offloads
		return 1
	}
	return uint64(one.Segments)
}

// answer sends back what the server receives until the server is closed.
func answer(server *datagram.Conn, read *uint64) error {
	for d := range server.Recv() {
		*read++
		if err := server.Send(context.Background(), d.Reply(d.Payload)); err != nil {
			return err
		}
		d.Release()
	}
	if err := server.Err(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// safeWindow returns how many datagrams each client may have in flight so that those of all clients
// fit into one receive buffer. A system charges more than the payload to a buffer: Linux up to
// twice the size, since it rounds to powers of two, and some hundred bytes.
func safeWindow(buffer, size, clients int) int {
	charge := 2 * (size + 1024)
	return min(max(buffer/charge/clients, 1), 1024)
}

// showProgress keeps updating a line on the terminal until the returned function is called. Without
// a terminal it does nothing.
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
				fmt.Print("\r\033[K") // the ledger replaces it
				return
			case now := <-ticker.C:
				got := server.Stats().Received
				fmt.Printf("\r%3d %%  %d requests  %.0f/s\033[K", got*100/uint64(n), got, float64(got)/now.Sub(begin).Seconds())
			}
		}
	}()
	return func() { close(quit); <-done }
}
