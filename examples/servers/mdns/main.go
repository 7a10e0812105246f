// Mdns announces a service on this host by multicast DNS (RFC 6762, RFC 6763), and answers questions about it.
//
//	go run ./mdns -name demo -service _http._tcp -port 80
//	mdns-scan, or avahi-browse -a
//
// It does not probe whether the name is in use, as a responder for more than a demonstration must.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/time/rate"

	"example.com/datagram"
	"example.com/datagram/examples/internal/command"
)

// group is where multicast DNS happens (RFC 6762 section 3).
var group = netip.MustParseAddrPort("224.0.0.251:5353")

func main() {
	host, _ := os.Hostname()
	name := flag.String("name", host, "`name` to answer for, without .local")
	service := flag.String("service", "_http._tcp", "`type` of the service")
	port := flag.Uint("port", 80, "`port` of the service")
	ifname := flag.String("interface", "", "`name` of the network interface to use; by default all that can multicast")
	command.Main("mdns", "", func(ctx context.Context, _ []string) error {
		r, err := newResponder(*name, *service, *port)
		if err != nil {
			return command.Usagef("%w", err)
		}
		interfaces, err := multicastInterfaces(*ifname)
		if err != nil {
			return err
		}
		return run(ctx, r, interfaces)
	})
}

func run(ctx context.Context, r *responder, interfaces []net.Interface) error {
	logged := rate.Sometimes{Interval: time.Second}
	report := func(err error) { logged.Do(func() { log.Print(err) }) }
	// A group's address shares the port with other responders of this host. MetaLocal tells the interface of a question.
	conn, err := datagram.Listen(ctx, "udp4", group.String(),
		datagram.WithMetadata(datagram.MetaLocal), datagram.WithMulticastTTL(255), datagram.WithErrorHandler(report))
	if err != nil {
		return err
	}
	defer conn.Close()
	for i := range interfaces {
		if err := conn.JoinGroup(group.Addr(), &interfaces[i]); err != nil {
			return fmt.Errorf("interface %s: %w", interfaces[i].Name, err)
		}
		if _, err := fmt.Printf("answering for %s on %s\n", r.name, interfaces[i].Name); err != nil {
			return err
		}
	}

	background := context.Background()
	announce := func(goodbye bool) {
		for _, ifi := range interfaces {
			d := datagram.To(group, r.announcement(ifi.Index, goodbye))
			d.Meta.IfIndex = ifi.Index // the interface to leave by
			if err := conn.Send(background, d); err != nil {
				report(err)
			}
		}
	}
	announce(false)
	failure := command.Serve(ctx, conn, func(d datagram.Datagram) {
		defer d.Release()
		payload, unicast := r.answer(d.Payload, d.Meta.IfIndex, d.Addr.Port() != group.Port())
		if payload == nil {
			return
		}
		answer := datagram.To(group, payload)
		if unicast {
			answer = d.Reply(payload)
		}
		answer.Meta.IfIndex = d.Meta.IfIndex
		if err := conn.Send(background, answer); err != nil {
			report(err)
		}
	})
	announce(true)
	expiring, cancel := context.WithTimeout(background, command.Grace)
	defer cancel()
	return errors.Join(failure, conn.Shutdown(expiring))
}

// multicastInterfaces returns the interface with a name or, without one, all that are up and can multicast.
func multicastInterfaces(name string) ([]net.Interface, error) {
	if name != "" {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", name, err)
		}
		return []net.Interface{*ifi}, nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var usable []net.Interface
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp != 0 && ifi.Flags&net.FlagMulticast != 0 {
			usable = append(usable, ifi)
		}
	}
	if len(usable) == 0 {
		return nil, errors.New("no interface can multicast; name one with -interface")
	}
	return usable, nil
}
