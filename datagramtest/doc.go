// Package datagramtest supports tests of programs that use package datagram. It
// simulates networks and injects faults into system calls.
//
// A [Network] is a simulated network. Handles on it are ordinary handles,
// created by [Network.Listen] and [Network.Dial], or by the constructors of
// package datagram with [Network.Option]:
//
//	network := datagramtest.NewNetwork(1, datagramtest.Link{Loss: 0.1, Delay: 20 * time.Millisecond})
//	defer network.Close()
//	server, err := network.Listen(ctx, "udp", "10.0.0.1:53")
//	…
//	client, err := network.Dial(ctx, "udp", "10.0.0.1:53")
//
// A [Link] loses, delays, reorders and corrupts datagrams at random, controlled
// by a seed. A partition separates hosts, and a filter drops datagrams that the
// test chooses. In a bubble of [testing/synctest], where time advances when all
// goroutines wait, an hour of traffic takes moments; elsewhere time is real.
// For example, this test checks that a program gives up if its questions arrive
// and all answers are lost:
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
// [Faults] make system calls fail, on a simulated network or the system's.
//
// # Hosts
//
// A network has hosts, each with its own addresses, ports and loopback
// addresses. Listening on a new address creates a host that has it.
// [Network.AddHost] creates a host with several addresses; [Host.Listen] and
// [Host.Option] create handles on it that are bound to any of them. A handle
// whose address names no host is on [Network.Host].
//
// Every address is reachable. An address at which nobody listens refuses
// datagrams, whether or not a host has it. To simulate one that does not answer
// at all, use a Link with a Loss of 1.
//
// # Determinism
//
// The same seed does the same to the same datagrams: see [NewNetwork]. Events
// at the same instant happen in the order of addresses and ordinals, and any
// call that inspects the network sees all events up to now.
//
// The scheduler still decides what goroutines do at the same instant. Over
// links without Delay, datagrams arrive in the order in which they were sent. A
// handle bound to port 0, as Dial binds it, gets the next port, and another
// port means another path with different random outcomes. Where that matters,
// bind to a fixed port and use [datagram.Conn.Connect].
//
// # What is simulated
//
// Handles behave as on Linux in the addresses they can bind to, the choice of
// receivers, errors, metadata, multicast, broadcast (to 255.255.255.255) and
// receive buffers. Receive buffers hold 64 MiB, so that one overflows only if
// [datagram.WithReadBuffer] makes it smaller. If nobody listens at an address,
// connected senders get ECONNREFUSED, and those with
// [datagram.WithNetworkErrors] get a report, after the Delay and Jitter of the
// way back, unless a partition or that way's Loss prevents it. Send buffers are
// never full; use [Faults] to simulate that.
//
// Batches are real, but nothing is segmented or coalesced. Handles that share a
// port, as those of [datagram.ListenGroup], each receive some of the flows.
// There are no processors to steer by, and there is no descriptor:
// [datagram.SteerCPU], [datagram.Conn.SyscallConn], [datagram.Conn.File] and the
// connection passed to the function of [datagram.WithControl] return
// [errors.ErrUnsupported]. Each host has the interfaces "lo" and "eth0", with
// the indexes 1 and 2: see [Host.Interface].
package datagramtest
