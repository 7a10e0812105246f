package datagram_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// kernelGroup returns a group of n handles on the system's network. It is closed at the end of the test.
func kernelGroup(t *testing.T, network, address string, n int, opts ...datagram.Option) *datagram.Group {
	t.Helper()
	g, err := datagram.ListenGroup(t.Context(), network, address, n, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return closeGroupAtEnd(t, g)
}

func openGroup(t *testing.T, files []*os.File, opts ...datagram.Option) *datagram.Group {
	t.Helper()
	g, err := datagram.OpenGroup(files, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return closeGroupAtEnd(t, g)
}

func filesOf(t *testing.T, g *datagram.Group) []*os.File {
	t.Helper()
	files, err := g.Files()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(files) })
	return files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func TestKernelKeepsFlowsOfAGroupTogether(t *testing.T) {
	const n, flows, rounds = 4, 100, 3
	g := kernelGroup(t, "udp4", "127.0.0.1:0", n)
	senders := make([]*net.UDPConn, flows)
	for i := range senders {
		senders[i] = conntest.SocketTo(t, g.Conns()[0])
	}
	var mu sync.Mutex
	handles := make(map[netip.AddrPort]*datagram.Conn)
	served := serveGroup(background, g, func(c *datagram.Conn, d datagram.Datagram) {
		mu.Lock()
		defer mu.Unlock()
		if before := handles[d.Addr]; before != nil && before != c {
			t.Errorf("two handles received from %v", d.Addr)
		}
		handles[d.Addr] = c
		d.Release()
	})
	for round := range rounds {
		for _, s := range senders {
			conntest.WriteNumbers(t, s, 0, 1)
		}
		await.Until(t, "all datagrams", func() bool { return g.Stats().Delivered == uint64(flows*(round+1)) })
	}
	conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
	for i, c := range g.Conns() {
		if c.Stats().Delivered == 0 { // by chance, once in 10¹¹
			t.Errorf("handle %d got nothing", i)
		}
	}
}

// Handle cpu mod n gets what processor cpu has received, which on the loopback interface is that of the
// sender.
func TestSteeringByProcessor(t *testing.T) {
	if cpus, err := os.ReadFile("/sys/class/net/lo/queues/rx-0/rps_cpus"); err == nil && strings.Trim(string(cpus), "0,\n") != "" {
		t.Skip("RPS gives what lo receives to other processors")
	}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	steer := datagram.WithSteering(datagram.SteerCPU)
	for _, n := range []int{1, 2, 3} {
		g := kernelGroup(t, "udp4", "127.0.0.1:0", n, steer)
		opened := openGroup(t, filesOf(t, g), steer)
		for _, g := range []*datagram.Group{g, opened} {
			for cpu := range 1024 {
				if !all.IsSet(cpu) {
					continue
				}
				onProcessor(t, cpu, func() {
					for range 10 { // flows
						conntest.WriteNumbers(t, conntest.SocketTo(t, g.Conns()[0]), 0, 1)
					}
				})
				for range 10 {
					conntest.Expect(t, g.Conns()[cpu%n], "0")
				}
			}
			g.DrainRecv(background)
		}
		// The flow decides again.
		flow := openGroup(t, filesOf(t, g), datagram.WithSteering(datagram.SteerFlow))
		for range 100 {
			conntest.WriteNumbers(t, conntest.SocketTo(t, g.Conns()[0]), 0, 1)
		}
		for _, c := range flow.Conns() {
			conntest.Expect(t, c, "0")
		}
	}
}

// onProcessor calls f on a processor.
func onProcessor(t *testing.T, cpu int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	one.Set(cpu)
	if err := errors.Join(unix.SchedGetaffinity(0, &before), unix.SchedSetaffinity(0, &one)); err != nil {
		t.Fatal(err)
	}
	defer unix.SchedSetaffinity(0, &before)
	f()
}

func TestListenGroupWantsAFreePort(t *testing.T) {
	g := kernelGroup(t, "udp4", "127.0.0.1:0", 2)
	for range 30 { // Linux may choose a port that others share
		for name, opts := range map[string][]datagram.Option{"group": nil, "sharing group": {datagram.WithReusePort()}} {
			if other := kernelGroup(t, "udp4", "127.0.0.1:0", 2, opts...); other.LocalAddr() == g.LocalAddr() {
				t.Fatalf("%s: the port of another", name)
			}
		}
		if other := conntest.Loopback(t, datagram.WithReusePort()); other.LocalAddr() == g.LocalAddr() {
			t.Fatal("a handle has the port of a group")
		}
	}
	for _, n := range []int{1, 2} {
		_, err := datagram.ListenGroup(t.Context(), "udp4", g.LocalAddr().String(), n)
		conntest.CheckErrno(t, err, syscall.EADDRINUSE)
	}
	sharing := kernelGroup(t, "udp4", g.LocalAddr().String(), 2, datagram.WithReusePort())
	if sharing.LocalAddr() != g.LocalAddr() {
		t.Errorf("on %v, not %v", sharing.LocalAddr(), g.LocalAddr())
	}
}

func TestListenGroupOnNamesAndWildcards(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, test := range []struct{ network, address string }{
		{"udp", ":0"},
		{"udp", ""},
		{"udp4", "0.0.0.0:0"},
		{"udp6", "[::]:0"},
		{"udp", "localhost:0"},
		{"udp6", "[::1]:"},
		{"udp4", "224.0.0.9:0"},
		{"udp6", "[ff02::9%lo]:0"},
	} {
		g := kernelGroup(t, test.network, test.address, 3)
		for _, c := range g.Conns() {
			if c.LocalAddr() != g.LocalAddr() || c.String() != g.Conns()[0].String() {
				t.Errorf("%s %q: %v beside %v", test.network, test.address, c, g.Conns()[0])
			}
		}
	}
}

// When descriptors run out, none is left open.
func TestListenGroupWithoutDescriptors(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	open := descriptors(t)
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(open + 100), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	_, err := datagram.ListenGroup(t.Context(), "udp4", "127.0.0.1:0", 1000)
	conntest.CheckErrno(t, err, syscall.EMFILE)
	if now := descriptors(t); now != open {
		t.Errorf("%d descriptors are open, before it were %d", now, open)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func TestOpenGroupRefuses(t *testing.T) {
	g, other := kernelGroup(t, "udp4", "127.0.0.1:0", 2), kernelGroup(t, "udp4", "127.0.0.1:0", 2)
	files, others := filesOf(t, g), filesOf(t, other)
	alone, err := conntest.Loopback(t).File()
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	closed := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	closed.Close()
	unbound := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	stream := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_STREAM, 0)
	pair, _ := conntest.UnixConns(t)
	unixFile, err := pair.File()
	if err != nil {
		t.Fatal(err)
	}
	defer unixFile.Close()
	for name, test := range map[string]struct {
		files []*os.File
		want  error
	}{
		"none":              {nil, syscall.EINVAL},
		"nil":               {[]*os.File{files[0], nil}, syscall.EINVAL},
		"two addresses":     {[]*os.File{files[0], files[1], others[0]}, syscall.EINVAL},
		"port not shared":   {[]*os.File{alone, alone}, syscall.EINVAL},
		"the same twice":    {[]*os.File{files[0], files[0]}, syscall.EINVAL},
		"unbound":           {[]*os.File{unbound, unbound}, syscall.EINVAL},
		"stream":            {[]*os.File{files[0], stream}, syscall.EPROTOTYPE},
		"closed":            {[]*os.File{files[0], closed}, net.ErrClosed},
		"not Internet":      {[]*os.File{unixFile, files[0]}, syscall.EINVAL},
		"not Internet last": {[]*os.File{files[0], unixFile}, syscall.EINVAL},
	} {
		t.Run(name, func(t *testing.T) {
			before := descriptors(t)
			g, err := datagram.OpenGroup(test.files)
			if g != nil {
				t.Error("a group beside the error")
			}
			conntest.CheckErrno(t, err, test.want)
			if now := descriptors(t); now != before {
				t.Errorf("%d descriptors are open, before it were %d", now, before)
			}
		})
	}
	if g := openGroup(t, []*os.File{alone}); g.LocalAddr().Port() == 0 { // shares its port with nobody
		t.Error("a group of one has no address")
	}
	openGroup(t, []*os.File{unixFile})
}

// The successor receives what the predecessor has not taken, each flow on the handle of the same place.
func TestOpenGroupSucceeds(t *testing.T) {
	const flows = 50
	old := kernelGroup(t, "udp4", "127.0.0.1:0", 3)
	successor := openGroup(t, filesOf(t, old))
	senders := make([]*net.UDPConn, flows)
	for i := range senders {
		senders[i] = conntest.SocketTo(t, old.Conns()[0])
	}
	places := make(map[netip.AddrPort]int)
	send := func(receiver *datagram.Group, place func(i int, from netip.AddrPort)) {
		for _, s := range senders {
			conntest.WriteNumbers(t, s, 0, 1)
		}
		got := make(chan int, flows)
		var mu sync.Mutex
		served := serveGroup(background, receiver, func(c *datagram.Conn, d datagram.Datagram) {
			mu.Lock()
			defer mu.Unlock()
			place(slices.Index(receiver.Conns(), c), d.Addr)
			d.Release()
			got <- 1
		})
		for range flows {
			await.Value(t, "a datagram", got)
		}
		conntest.ExpectError(t, "DrainRecv", receiver.DrainRecv(background), nil)
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
	}
	send(old, func(i int, from netip.AddrPort) { places[from] = i })
	check := func(i int, from netip.AddrPort) {
		if i != places[from] {
			t.Errorf("handle %d received from %v, before it was %d", i, from, places[from])
		}
	}
	send(successor, check)
	conntest.ExpectError(t, "Shutdown", old.Shutdown(background), nil)
	send(successor, check)
}

// A plain socket on the port is in the way of a group of any size, and a group in that of a plain socket.
func TestListenGroupBesideAPlainSocket(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, test := range []struct{ network, host string }{{"udp4", "127.0.0.1"}, {"udp6", "::1"}, {"udp", ""}} {
		plain := conntest.QuietPortOf(t, test.network, test.host)
		address := plain.LocalAddr().String()
		for _, n := range []int{1, 2} {
			for name, opts := range map[string][]datagram.Option{"": nil, "sharing": {datagram.WithReusePort()}} {
				before := descriptors(t)
				_, err := datagram.ListenGroup(t.Context(), test.network, address, n, opts...)
				conntest.CheckErrno(t, err, syscall.EADDRINUSE)
				if now := descriptors(t); now != before {
					t.Errorf("%s of %d: %d descriptors are open, before it were %d", name, n, now, before)
				}
			}
		}
		plain.Close()
		g := kernelGroup(t, test.network, address, 2)
		_, err := datagram.Listen(t.Context(), test.network, address)
		conntest.CheckErrno(t, err, syscall.EADDRINUSE)
		g.Close()
		await.Closed(t, "Done", g.Done())
		conntest.Listen(t, test.network, address)
	}
}

// A successor may read by PacketConn while its predecessor, which does too, is drained. Every number arrives once.
func TestOpenGroupSucceedsReaders(t *testing.T) {
	const n, flows, rounds = 2, 6, 40
	old := kernelGroup(t, "udp4", "127.0.0.1:0", n)
	successor := openGroup(t, filesOf(t, old))
	var mu sync.Mutex
	got := make(map[string]int)
	read := func(g *datagram.Group) <-chan struct{} {
		var readers sync.WaitGroup
		for _, c := range g.Conns() {
			reader := c.PacketConn()
			readers.Go(func() {
				p := make([]byte, 100)
				for {
					n, from, err := reader.ReadFrom(p)
					if err != nil {
						if g == old && !errors.Is(err, syscall.ECANCELED) || g != old && !errors.Is(err, net.ErrClosed) {
							t.Errorf("read: %v", err)
						}
						return
					}
					mu.Lock()
					got[from.String()+" "+string(p[:n])]++
					mu.Unlock()
				}
			})
		}
		return await.Go(readers.Wait)
	}
	senders := make([]*net.UDPConn, flows)
	for i := range senders {
		senders[i] = conntest.SocketTo(t, old.Conns()[0])
	}
	total := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(got)
	}
	predecessors := read(old)
	var successors <-chan struct{}
	for round := range rounds {
		for _, s := range senders {
			conntest.WriteNumbers(t, s, round, round+1)
		}
		if round == rounds/2 {
			await.Until(t, "no reader of the predecessor", func() bool {
				conntest.ExpectError(t, "DrainRecv", old.DrainRecv(background), nil)
				select {
				case <-predecessors:
					return true
				default:
					return false
				}
			})
			conntest.ExpectError(t, "Close", old.Close(), nil)
			successors = read(successor)
		}
	}
	await.Until(t, "all datagrams", func() bool { return total() == flows*rounds })
	successor.Close()
	await.Closed(t, "the successor's readers", successors)
	for what, times := range got {
		if times != 1 {
			t.Errorf("%s came %d times", what, times)
		}
	}
}

// A group's memberships are those of its first handle, in the kernel too: each datagram is delivered once, whichever
// handle was asked to join or leave.
func TestKernelGroupMembership(t *testing.T) {
	lo := conntest.LoopbackInterface(t)
	everyone := netip.MustParseAddr("239.1.2.3")
	g := kernelGroup(t, "udp4", "0.0.0.0:0", 3)
	conns := g.Conns()
	conntest.ExpectError(t, "JoinGroup", conns[2].JoinGroup(everyone, lo), nil)
	conntest.CheckErrno(t, conns[0].JoinGroup(everyone, lo), syscall.EADDRINUSE)
	sender := conntest.Loopback(t)
	conntest.ExpectError(t, "interface", sender.SetMulticastInterface(lo), nil)
	delivered := make(chan string, 3)
	served := serveGroup(background, g, func(_ *datagram.Conn, d datagram.Datagram) {
		delivered <- string(d.Payload)
		d.Release()
	})
	to := netip.AddrPortFrom(everyone, g.LocalAddr().Port())
	expect := func(want string) {
		t.Helper()
		if got := await.Value(t, want, delivered); got != want {
			t.Errorf("delivered %q, want %q", got, want)
		}
	}
	conntest.TrySend(t, sender, datagram.To(to, []byte("to members")))
	expect("to members")
	conntest.ExpectError(t, "LeaveGroup", conns[1].LeaveGroup(everyone, lo), nil)
	conntest.CheckErrno(t, conns[2].LeaveGroup(everyone, lo), syscall.EADDRNOTAVAIL)
	conntest.TrySend(t, sender, datagram.To(to, []byte("to nobody")))
	conntest.ExpectError(t, "JoinGroup again", conns[1].JoinGroup(everyone, lo), nil)
	conntest.TrySend(t, sender, datagram.To(to, []byte("to members again")))
	expect("to members again")
	conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
}

// What is sent to several hosts comes to every socket of the group, and is delivered once, also where the
// group is bound to the broadcast address.
func TestKernelGroupDeliversBroadcastOnce(t *testing.T) {
	const n, rounds = 3, 5
	everyone := netip.MustParseAddr("127.255.255.255")
	for _, test := range []struct{ network, address string }{
		{"udp4", ":0"}, {"udp", ":0"}, {"udp4", "127.255.255.255:0"}, {"udp4", "255.255.255.255:0"},
	} {
		t.Run(test.network+" "+test.address, func(t *testing.T) {
			g := kernelGroup(t, test.network, test.address, n)
			to := everyone
			if !g.LocalAddr().Addr().IsUnspecified() {
				to = g.LocalAddr().Addr()
			}
			sender := conntest.Listen(t, "udp4", "127.0.0.1:0", datagram.WithBroadcast())
			served := serveGroup(background, g, ignore)
			for range rounds {
				conntest.TrySend(t, sender, datagram.To(netip.AddrPortFrom(to, g.LocalAddr().Port()), []byte("x")))
			}
			await.Until(t, "all copies", func() bool { return g.Stats().Received == n*rounds })
			conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
			if s := g.Stats(); s.Delivered != rounds || s.PolicyDrops != (n-1)*rounds {
				t.Errorf("of %d datagrams:\n%v", rounds, s)
			}
		})
	}
}
