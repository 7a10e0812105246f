// Send sends datagrams to a multicast group, a broadcast address or a single
// host: each argument, or without arguments each line of the standard input.
//
//	go run ./examples/send -to 239.192.7.1:7777 -interface eth0 -ttl 4 hello
//	go run ./examples/send -to 255.255.255.255:7777 -broadcast hello
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"example.com/datagram"
)

// flags are what the command line asks for.
type flags struct {
	to        string
	ifname    string
	ttl       int
	loopback  bool
	broadcast bool
	deadline  time.Duration
}

func main() {
	var f flags
	flag.StringVar(&f.to, "to", "", "destination, `host:port`: a group, a broadcast address or a host")
	flag.StringVar(&f.ifname, "interface", "", "`name` of the interface to send by; none is the system's choice")
	flag.IntVar(&f.ttl, "ttl", 0, "how many networks a datagram may pass, 1 to 255; 0 is 1 for groups, else the system's choice")
	flag.BoolVar(&f.loopback, "loopback", true, "deliver what is sent to a group on this host too")
	flag.BoolVar(&f.broadcast, "broadcast", false, "allow sending to a broadcast address")
	flag.DurationVar(&f.deadline, "deadline", 5*time.Second, "how long sending may take in the end")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Usage: send -to host:port [flags] [message ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if f.to == "" || f.ttl < 0 || f.ttl > 255 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(f, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "send:", err)
		os.Exit(1)
	}
}

func run(f flags, messages []string) error {
	ctx := context.Background()
	to, err := datagram.Resolve(ctx, "udp", f.to)
	if err != nil {
		return err
	}
	opts, err := options(f, to.Addr())
	if err != nil {
		return err
	}
	conn, err := datagram.New(opts...)
	if err != nil {
		return err
	}
	defer conn.Close()

	// Completion functions run one at a time, and none after Shutdown.
	var failure error // the first
	send := func(message []byte) error {
		return conn.SendFunc(ctx, datagram.To(to, message), func(err error) {
			if failure == nil {
				failure = err
			}
		})
	}
	for _, message := range messages {
		if err := send([]byte(message)); err != nil {
			return err
		}
	}
	if len(messages) == 0 {
		if err := eachLine(os.Stdin, send); err != nil {
			return err
		}
	}
	expiring, cancel := context.WithTimeout(ctx, f.deadline)
	defer cancel()
	err = conn.Shutdown(expiring)
	<-conn.Done()
	stats := conn.Stats()
	fmt.Printf("sent %d of %d datagrams to %v\n", stats.Sent, stats.Accepted, to)
	if errors.Is(failure, syscall.EACCES) && !f.broadcast {
		failure = fmt.Errorf("%w (a broadcast address needs -broadcast)", failure)
	}
	return errors.Join(failure, err)
}

// options are those for a handle that sends to addr.
func options(f flags, addr netip.Addr) ([]datagram.Option, error) {
	opts := []datagram.Option{datagram.WithMulticastLoopback(f.loopback)}
	if f.broadcast {
		opts = append(opts, datagram.WithBroadcast())
	}
	if f.ttl > 0 {
		opts = append(opts, datagram.WithTTL(f.ttl), datagram.WithMulticastTTL(f.ttl))
	}
	if f.ifname == "" {
		return opts, nil
	}
	if !addr.IsMulticast() {
		return append(opts, datagram.WithInterface(f.ifname)), nil
	}
	ifi, err := net.InterfaceByName(f.ifname)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.ifname, err)
	}
	return append(opts, datagram.WithMulticastInterface(ifi)), nil
}

// eachLine calls send with each line of r.
func eachLine(r io.Reader, send func([]byte) error) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if err := send(lines.Bytes()); err != nil {
			return err
		}
	}
	return lines.Err()
}
