package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newJoin(out *output) *cobra.Command {
	j := join{printer: printer{out: out}}
	cmd := &cobra.Command{
		Use:   "join GROUP:PORT",
		Short: "Print the datagrams that come to a multicast group",
		Example: `  datagram join 239.192.7.1:7777
  datagram join --interface eth0 --source 192.0.2.1 232.1.2.3:5000
  datagram join [ff02::fb]:5353`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return j.run(cmd.Context(), args[0]) },
	}
	j.flags(cmd)
	cmd.Flags().StringSliceVarP(&j.interfaces, "interface", "i", nil, "`name` of an interface to join on, or several; by default all that support multicast")
	cmd.Flags().StringSliceVar(&j.sources, "source", nil, "`address` of a sender, or several; by default all")
	return cmd
}

// join holds the flags of the command.
type join struct {
	printer
	interfaces, sources []string
}

func (j *join) run(ctx context.Context, address string) error {
	if err := atLeast("count", j.count, 0); err != nil {
		return err
	}
	group, err := netip.ParseAddrPort(address)
	if err != nil {
		return usageError{fmt.Errorf("%s is not GROUP:PORT: %w", address, err)}
	}
	if !group.Addr().IsMulticast() {
		return usageError{fmt.Errorf("%v is not a multicast address", group.Addr())}
	}
	sources, err := parseSources(j.sources)
	if err != nil {
		return err
	}
	// Several programs may listen to a group.
	conn, err := listen(ctx, "udp", address, j.options()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	joined, err := j.join(conn, group.Addr(), sources)
	if err != nil {
		return err
	}
	j.out.say("listening", listening{conn.LocalAddr().String(), group.Addr().String(), joined})
	return j.printer.run(ctx, conn)
}

func parseSources(sources []string) (addrs []netip.Addr, err error) {
	for _, source := range sources {
		addr, err := netip.ParseAddr(source)
		if err != nil {
			return nil, usageError{fmt.Errorf("--source: %w", err)}
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// join joins the group on the interfaces and returns their names. Interfaces that nobody named may
// fail, for instance for lack of an address of the group's family, as long as one does not.
func (j *join) join(conn *datagram.Conn, group netip.Addr, sources []netip.Addr) (joined []string, err error) {
	named := len(j.interfaces) > 0
	var candidates []net.Interface
	if named {
		for _, name := range j.interfaces {
			ifi, err := interfaceByName(name)
			if err != nil {
				return nil, err
			}
			candidates = append(candidates, *ifi)
		}
	} else if candidates, err = multicastInterfaces(); err != nil {
		return nil, err
	}
	for _, ifi := range candidates {
		if failure := joinOn(conn, group, sources, &ifi); failure == nil {
			joined = append(joined, ifi.Name)
		} else if err = fmt.Errorf("interface %s: %w", ifi.Name, failure); named {
			return nil, err
		}
	}
	if len(joined) > 0 {
		return joined, nil
	}
	return nil, err
}

func joinOn(conn *datagram.Conn, group netip.Addr, sources []netip.Addr, ifi *net.Interface) error {
	if len(sources) == 0 {
		return conn.JoinGroup(group, ifi)
	}
	for _, source := range sources {
		if err := conn.JoinSourceGroup(group, source, ifi); err != nil {
			return err
		}
	}
	return nil
}

// multicastInterfaces returns the interfaces that are up and support multicast, and that of the loopback
// if there is no other: it delivers what this host sends, whatever its flags say.
func multicastInterfaces() (capable []net.Interface, err error) {
	all, err := net.Interfaces()
	var loopback []net.Interface
	for _, ifi := range all {
		switch {
		case ifi.Flags&net.FlagUp == 0:
		case ifi.Flags&net.FlagLoopback != 0:
			loopback = append(loopback, ifi)
		case ifi.Flags&net.FlagMulticast != 0:
			capable = append(capable, ifi)
		}
	}
	if len(capable) == 0 {
		capable = loopback
	}
	return capable, err
}
