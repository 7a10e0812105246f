// Upgrade is an echo server that replaces itself without losing a request.
//
//	go build -o upgrade . && ./upgrade -listen :7777
//	kill -HUP pid
//
// On SIGHUP it starts its executable anew, hands it its sockets, and ends when the successor
// receives. On SIGINT or SIGTERM it answers what it has taken, and ends. Its sockets come from the
// predecessor, from systemd (see the directory systemd), or it listens.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"
	"github.com/coreos/go-systemd/v22/daemon"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
)

func main() {
	address := flag.String("listen", ":7777", "address to listen on, if nobody passes sockets")
	n := flag.Int("n", 0, "sockets to listen with, 0 for one for each processor")
	deadline := flag.Duration("deadline", 5*time.Second, "how long ending may take")
	command.Main("upgrade", "", func(ctx context.Context, _ []string) error {
		switch {
		case *n < 0:
			return command.Usagef("-n is %d, less than 0", *n)
		case *deadline < 0:
			return command.Usagef("-deadline is %v, less than 0", *deadline)
		}
		log.SetPrefix(fmt.Sprintf("upgrade %d: ", os.Getpid())) // successors print to the same place
		return run(ctx, *address, *n, *deadline)
	})
}

func run(ctx context.Context, address string, n int, deadline time.Duration) error {
	upgrader, err := tableflip.New(tableflip.Options{})
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	group, err := open(upgrader.Fds, address, n)
	if err != nil {
		return err
	}
	defer group.Close()
	failed := make(chan error, 1)
	go func() { failed <- group.Serve(context.Background(), answer) }()
	if _, err := fmt.Printf("%d: %d sockets on %v\n", os.Getpid(), len(group.Conns()), group.LocalAddr()); err != nil {
		return err
	}

	// The predecessor ends now. Until then both receive; the system gives each datagram to one.
	if err := upgrader.Ready(); err != nil {
		return err
	}
	context.AfterFunc(ctx, upgrader.Stop)
	go succeed(hangups, upgrader)
	if _, err := daemon.SdNotify(false, fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid())); err != nil {
		return err
	}
	select {
	case <-upgrader.Exit():
	case err := <-failed:
		return err
	}

	expiring, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	err = errors.Join(group.DrainRecv(expiring), group.Shutdown(expiring))
	_, unprinted := fmt.Printf("%d: answered %d of %d\n", os.Getpid(), group.Stats().Sent, group.Stats().Received)
	return errors.Join(err, unprinted)
}

// succeed starts a successor on each SIGHUP.
func succeed(hangups <-chan os.Signal, upgrader *tableflip.Upgrader) {
	for range hangups {
		// A successor needs a process whose own predecessor has ended.
		err := upgrader.WaitForParent(context.Background())
		if err = errors.Join(err, upgrader.Upgrade()); err != nil {
			log.Print("upgrade: ", err) // and go on
		}
	}
}

func answer(conn *datagram.Conn, d datagram.Datagram) {
	if err := conn.Send(context.Background(), d.Reply(d.Payload)); err != nil {
		log.Print(err)
	}
	d.Release()
}
