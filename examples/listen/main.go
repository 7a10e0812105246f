// Listen prints the datagrams that are sent to a multicast group, to a
// broadcast address or simply to a port of this host.
//
//	go run ./examples/listen -group 239.192.7.1 -interface eth0
//	go run ./examples/listen -port 7777
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	"example.com/datagram"
)

func main() {
	port := flag.Int("port", 7777, "port to listen on; 0 is one that is free")
	group := flag.String("group", "", "multicast `address` to join; none receives unicast and broadcast")
	source := flag.String("source", "", "the only `address` to receive the group from")
	ifname := flag.String("interface", "", "`name` of the interface to join the group on; none is the system's choice")
	count := flag.Int("count", 0, "stop after so many `datagrams`; 0 goes on until a signal")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Usage: listen [flags]")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 || *port < 0 || *port > 65535 || *count < 0 || *group == "" && (*source != "" || *ifname != "") {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*port, *group, *source, *ifname, *count); err != nil {
		fmt.Fprintln(os.Stderr, "listen:", err)
		os.Exit(1)
	}
}

func run(port int, group, source, ifname string, count int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	// Several programs may listen for the same group or broadcast.
	conn, err := datagram.Listen(ctx, "udp", fmt.Sprintf(":%d", port), datagram.WithReuseAddr())
	if err != nil {
		return err
	}
	defer conn.Close()
	if group != "" {
		if err := join(conn, group, source, ifname); err != nil {
			return err
		}
	}
	fmt.Println("listening on", conn.LocalAddr(), group)

	received := 0
	for count == 0 || received < count {
		select {
		case d, ok := <-conn.Recv():
			if !ok {
				return conn.Err()
			}
			received++
			fmt.Printf("%v to %v: %q\n", d.Addr, d.Meta.Local, d.Payload)
			d.Release()
		case <-ctx.Done():
			if count > 0 {
				return fmt.Errorf("stopped after %d of %d datagrams", received, count)
			}
			return lost(conn)
		}
	}
	return lost(conn)
}

// lost is an error if datagrams came faster than they were printed.
func lost(conn *datagram.Conn) error {
	if drops := conn.Stats().KernelDrops; drops > 0 {
		return fmt.Errorf("%d datagrams were lost: they came faster than they were printed", drops)
	}
	return nil
}

// join makes the handle receive what is sent to a group.
func join(conn *datagram.Conn, group, source, ifname string) error {
	address, err := netip.ParseAddr(group)
	if err != nil {
		return err
	}
	var ifi *net.Interface // nil: the system's choice
	if ifname != "" {
		if ifi, err = net.InterfaceByName(ifname); err != nil {
			return fmt.Errorf("%s: %w", ifname, err)
		}
	}
	if source == "" {
		return conn.JoinGroup(address, ifi)
	}
	from, err := netip.ParseAddr(source)
	if err != nil {
		return err
	}
	return conn.JoinSourceGroup(address, from, ifi)
}
