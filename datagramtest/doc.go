// Package datagramtest serves to test programs that use package datagram
// against what networks and systems do to them.
//
// A [Network] is a simulated network. Handles on it are ordinary handles,
// made by [Network.Listen] and [Network.Dial], or by the constructors of package
// datagram with [Network.Option]:
//
//	network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: 20 * time.Millisecond})
//	defer network.Close()
//	server, err := network.Listen(ctx, "udp", "10.0.0.1:53")
//	…
//	client, err := network.Dial(ctx, "udp", "10.0.0.1:53")
//
// A [Link] loses, delays, reorders and corrupts, a partition separates, by chance
// that a seed decides. Used inside a bubble of [testing/synctest], where time passes when
// everybody waits, an hour of traffic takes moments. Outside it works in real time.
//
// [Faults] make system calls fail that real systems let fail too rarely to test for.
// They work on a simulated network and on the system's.
//
// # Hosts
//
// A network has hosts, each with its addresses, ports and loopback addresses.
// Listening on an address makes a host that has it; [Network.AddHost] makes hosts with several addresses,
// and [Host.Listen] and [Host.Option] put handles on one that
// are not bound to any of them. All others are on [Network.Host]. Every address
// is reachable: one at which nobody listens refuses, as a host does that has no such
// port, also if there is no such host. What an address is to lose instead, a link with a Loss of 1
// or a partition loses.
//
// # What is simulated
//
// Handles behave as on Linux: what they are bound to and connected to, who receives, which errors
// there are, all metadata, multicast and broadcast (to 255.255.255.255), receive buffers that overflow. Where nobody listens, connected handles get ECONNREFUSED and
// those with [datagram.WithNetworkErrors] are told, after the Delay of the way back. The kernel's send buffer is never
// full: [Faults] simulate that.
//
// There is nothing behind [datagram.Conn.SyscallConn], [datagram.Conn.File] and the connection that
// [datagram.WithControl] gets: they are [errors.ErrUnsupported]. Batches are real; nothing is
// segmented or coalesced. Interfaces are "lo" and "eth0" on each host, with the indexes 1 and 2:
// see [Host.Interface].
package datagramtest
