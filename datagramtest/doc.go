// Package datagramtest serves to test programs that use package datagram
// against what networks and systems do to them.
//
// A [Network] is a simulated network. Handles on it are ordinary handles, made
// by [Network.Listen] and [Network.Dial], or by the constructors of package
// datagram with [Network.Option]:
//
//	network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: 20 * time.Millisecond})
//	defer network.Close()
//	server, err := network.Listen(ctx, "udp", "10.0.0.1:53")
//	…
//	client, err := network.Dial(ctx, "udp", "10.0.0.1:53")
//
// A [Link] loses, delays, reorders and corrupts by chance, which a seed
// decides, a partition separates, and a filter loses what the test chooses. In
// a bubble of [testing/synctest], where time passes when everybody waits, an
// hour of traffic takes moments; elsewhere time is real. Does the program give
// up when its questions arrive and all answers are lost?
//
//	synctest.Test(t, func(t *testing.T) {
//		network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: 20 * time.Millisecond})
//		defer network.Close()
//		server, _ := network.Listen(t.Context(), "udp", "10.0.0.1:53")
//		defer server.Close()
//		client, _ := network.Dial(t.Context(), "udp", "10.0.0.1:53")
//		defer client.Close()
//		network.SetLink(netip.MustParsePrefix("10.0.0.1/32"), netip.Prefix{}, datagramtest.Link{Loss: 1})
//		go serve(server)
//		if _, err := ask(client, time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
//			t.Errorf("without answers: %v", err)
//		}
//	})
//
// [Faults] make system calls fail, on a simulated network and on the system's.
//
// # Hosts
//
// A network has hosts, each with addresses, ports and loopback addresses of its
// own. Listening on an address makes a host that has it. [Network.AddHost]
// makes one with several addresses, and [Host.Listen] and [Host.Option] put
// handles on it that are bound to any of them. A handle whose address names no
// host is on [Network.Host].
//
// Every address is reachable. One at which nobody listens refuses, whether there is a host
// that has it or not. For one that answers nothing there is a Link with a Loss of 1.
//
// # Determinism
//
// The same seed does the same to the same datagrams: see [NewNetwork]. What happens at the same instant happens in the
// order of addresses and ordinals, and whoever asks the network finds that it has happened.
//
// What is left to the scheduler is what goroutines do at the same instant. Over
// links without Delay datagrams arrive in the order in which they were sent.
// Handles that are bound to port 0, as Dial binds them, get the next port, and
// another port is another path with other fates: where that matters, bind to a
// port and [datagram.Conn.Connect].
//
// # What is simulated
//
// Handles behave as on Linux, in what they may bind to, who receives what,
// errors, metadata, multicast, broadcast (to 255.255.255.255) and receive
// buffers. These hold 64 MiB, so that only those overflow that
// [datagram.WithReadBuffer] makes smaller. Where nobody listens, connected
// handles get ECONNREFUSED and those with [datagram.WithNetworkErrors] are
// told, unless a partition or the Loss of the way back is against it, after its
// Delay and Jitter. Send buffers are never full: see [Faults] for that.
//
// Batches are real; nothing is segmented or coalesced. There is no descriptor:
// [datagram.Conn.SyscallConn], [datagram.Conn.File] and the connection that
// [datagram.WithControl] hands on are [errors.ErrUnsupported]. The interfaces
// of each host are "lo" and "eth0", with the indexes 1 and 2: see
// [Host.Interface]. What package net knows of interfaces, as
// [datagram.Conn.MulticastInterface] tells, is still the system's.
package datagramtest
