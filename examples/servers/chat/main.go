// Chat lets people on one network talk without a server, over a multicast group. It sends each line of its input, and
// prints what others send.
//
//	go run ./chat -name alice -interface eth0
package main

import (
	"bufio"
	"context"
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

func main() {
	name := flag.String("name", os.Getenv("USER"), "your `name`")
	group := flag.String("group", "239.192.7.1:7770", "multicast `address` and port")
	ifname := flag.String("interface", "", "`name` of the network interface; by default the system chooses")
	command.Main("chat", "", func(ctx context.Context, _ []string) error {
		address, err := netip.ParseAddrPort(*group)
		if err != nil {
			return command.Usagef("group %q: %v", *group, err)
		}
		if !address.Addr().IsMulticast() || address.Port() == 0 {
			return command.Usagef("%v is not a multicast group and port", address)
		}
		if *name == "" {
			return command.Usagef("you need a name: -name")
		}
		return run(ctx, *name, address, *ifname)
	})
}

func run(ctx context.Context, name string, group netip.AddrPort, ifname string) error {
	logged := rate.Sometimes{Interval: time.Second}
	options := []datagram.Option{datagram.WithErrorHandler(func(err error) { logged.Do(func() { log.Print(err) }) })}
	var ifi *net.Interface // nil lets the system choose
	if ifname != "" {
		var err error
		if ifi, err = net.InterfaceByName(ifname); err != nil {
			return fmt.Errorf("interface %s: %w", ifname, err)
		}
		options = append(options, datagram.WithMulticastInterface(ifi))
	}
	// Listening on a group's address shares the port with others on this host. They hear each other, since multicast is
	// looped back by default; so this program hears itself.
	conn, err := datagram.Listen(ctx, "udp", group.String(), options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.JoinGroup(group.Addr(), ifi); err != nil {
		return err
	}
	if _, err := fmt.Println("talking to", group, "as", name); err != nil {
		return err
	}

	me := newSpeaker(name)
	lines := readLines(os.Stdin)
	// A person types while others talk: select needs Recv.
	for talking := true; talking; {
		select {
		case d, ok := <-conn.Recv():
			if !ok {
				return conn.Err()
			}
			text, ok := me.hear(d.Payload)
			d.Release()
			if ok {
				if _, err := fmt.Println(text); err != nil {
					return err
				}
			}
		case line, ok := <-lines:
			if talking = ok; ok {
				if err := conn.Send(ctx, datagram.To(group, me.say(line))); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			talking = false
		}
	}
	expiring, cancel := context.WithTimeout(context.Background(), command.Grace)
	defer cancel()
	return conn.Shutdown(expiring) // the last line leaves
}

// readLines returns a channel of the lines of a file, which is closed at the end.
func readLines(f *os.File) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(f); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}
