package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// listenGroup returns a group of n handles on a simulated network, which balances on every system. It is
// closed at the end of the test.
func listenGroup(t *testing.T, n int, opts ...datagram.Option) (*datagram.Group, *datagramtest.Network) {
	t.Helper()
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	t.Cleanup(func() { network.Close() })
	return groupOn(t, network, "10.0.0.1:0", n, opts...), network
}

func groupOn(t *testing.T, network *datagramtest.Network, address string, n int, opts ...datagram.Option) *datagram.Group {
	t.Helper()
	g, err := datagram.ListenGroup(t.Context(), "udp", address, n, append([]datagram.Option{network.Option()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return closeGroupAtEnd(t, g)
}

func closeGroupAtEnd(t *testing.T, g *datagram.Group) *datagram.Group {
	t.Helper()
	t.Cleanup(func() {
		g.Close()
		await.Closed(t, "Done after Close", g.Done())
		conntest.CheckLedger(t, g.Stats())
	})
	return g
}

// sendFlows sends one datagram to the group from each of n addresses.
func sendFlows(t *testing.T, network *datagramtest.Network, to netip.AddrPort, n int) {
	t.Helper()
	for i := range n {
		c, err := network.Listen(t.Context(), "udp", fmt.Sprintf("10.0.1.%d:99", i+1))
		if err != nil {
			t.Fatal(err)
		}
		conntest.CloseAtEnd(t, c)
		conntest.TrySend(t, c, datagram.To(to, []byte{byte(i)}))
	}
}

func TestListenGroupRefuses(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	for name, test := range map[string]struct {
		n    int
		opts []datagram.Option
		want error
	}{
		"negative":        {-1, nil, syscall.EINVAL},
		"a million":       {1_000_000, nil, syscall.EINVAL},
		"steering":        {2, []datagram.Option{datagram.WithSteering(2)}, syscall.EINVAL},
		"nil option":      {2, []datagram.Option{nil}, syscall.EINVAL},
		"by processor":    {2, []datagram.Option{datagram.WithSteering(datagram.SteerCPU)}, errors.ErrUnsupported},
		"one, alike":      {1, []datagram.Option{datagram.WithSteering(datagram.SteerCPU)}, errors.ErrUnsupported},
		"port of another": {2, nil, syscall.EADDRINUSE},
	} {
		address := "10.0.0.1:0"
		if name == "port of another" {
			address = groupOn(t, network, address, 2).LocalAddr().String()
		}
		g, err := datagram.ListenGroup(t.Context(), "udp", address, test.n, append([]datagram.Option{network.Option()}, test.opts...)...)
		if g != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v; want %v", name, g, err, test.want)
		}
		conntest.CheckErrno(t, err, test.want)
	}
	if g, err := datagram.ListenGroup(nil, "udp", "127.0.0.1:0", 1); g != nil || !errors.Is(err, syscall.EINVAL) { //nolint:staticcheck // a mistake that must not panic
		t.Errorf("nil context: %v, %v", g, err)
	}
	if g, err := datagram.ListenGroup(conntest.EndedContext(t), "udp", "localhost:0", 1); g != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v, %v", g, err)
	}
}

func TestSteeringOfASingleHandle(t *testing.T) {
	steering := datagram.WithSteering(datagram.SteerFlow)
	_, errNew := datagram.New(steering)
	_, errListen := datagram.Listen(background, "udp", "127.0.0.1:0", steering)
	_, errDial := datagram.Dial(background, "udp", "127.0.0.1:9", steering)
	_, errOpen := datagram.Open(os.Stdin, steering)
	for _, err := range []error{errNew, errListen, errDial, errOpen} {
		conntest.CheckErrno(t, err, syscall.EINVAL)
	}
}

func TestListenGroupSharesOneAddress(t *testing.T) {
	g, network := listenGroup(t, 0)
	conns := g.Conns()
	if len(conns) != runtime.GOMAXPROCS(0) {
		t.Errorf("%d handles, want %d", len(conns), runtime.GOMAXPROCS(0))
	}
	for _, c := range conns {
		if c.LocalAddr() != g.LocalAddr() || !g.LocalAddr().IsValid() {
			t.Errorf("a handle on %v in a group on %v", c.LocalAddr(), g.LocalAddr())
		}
	}
	conns[0] = nil
	if g.Conns()[0] == nil {
		t.Error("Conns returned the group's own slice")
	}
	another := groupOn(t, network, "10.0.0.1:0", 2)
	if another.LocalAddr() == g.LocalAddr() {
		t.Error("two groups on one port")
	}
	balancing := another.Conns()[1].Capabilities().Balancing
	alone := groupOn(t, network, "10.0.0.1:0", 1).Conns()[0].Capabilities().Balancing
	if !balancing.Active || alone.Active || alone.Reason == "" {
		t.Errorf("balancing of a group of two is %v, of one %v", balancing, alone)
	}
}

// Who asks for it shares the port of another group, but only if he names the port.
func TestListenGroupWithReusePort(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	first := groupOn(t, network, "10.0.0.1:0", 2, datagram.WithReusePort())
	second := groupOn(t, network, first.LocalAddr().String(), 2, datagram.WithReusePort())
	if second.LocalAddr() != first.LocalAddr() {
		t.Errorf("on %v and %v", first.LocalAddr(), second.LocalAddr())
	}
}

// If something about the last handle fails, the port is free again.
func TestListenGroupIsAllOrNothing(t *testing.T) {
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	for _, fault := range []datagramtest.Fault{
		{Op: datagramtest.OpListen, After: 2, Err: syscall.EMFILE},
		{Op: datagramtest.OpOption, After: 1, Err: syscall.EIO}, // whether it is bound to a unicast address
	} {
		faults := datagramtest.NewFaults(1, fault)
		g, err := datagram.ListenGroup(t.Context(), "udp", "10.0.0.1:53", 3, network.Option(), faults.Option())
		if g != nil {
			t.Fatal("a group beside the error")
		}
		conntest.CheckErrno(t, err, fault.Err)
		c, err := network.Listen(t.Context(), "udp", "10.0.0.1:53")
		if err != nil {
			t.Fatalf("%v: %v", fault.Err, err)
		}
		c.Close()
	}
}

func TestGroupKeepsFlowsTogether(t *testing.T) {
	const flows, rounds = 40, 3
	g, network := listenGroup(t, 4)
	senders := make([]*datagram.Conn, flows)
	for i := range senders {
		c, err := network.Dial(t.Context(), "udp", g.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		senders[i] = conntest.CloseAtEnd(t, c)
	}
	for range rounds {
		for _, c := range senders {
			conntest.TrySend(t, c, conntest.ToPeer("x"))
		}
	}
	handles := make(map[netip.AddrPort]*datagram.Conn)
	received := make(map[*datagram.Conn]int)
	var mu sync.Mutex
	var count atomic.Int64
	served := serveGroup(background, g, func(c *datagram.Conn, d datagram.Datagram) {
		mu.Lock()
		defer mu.Unlock()
		if before := handles[d.Addr]; before != nil && before != c {
			t.Errorf("two handles received from %v", d.Addr)
		}
		handles[d.Addr] = c
		received[c]++
		count.Add(1)
	})
	await.Until(t, "all datagrams", func() bool { return count.Load() == flows*rounds })
	conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
	if len(received) != 4 {
		t.Errorf("%d of 4 handles received %d flows", len(received), flows)
	}
}

// In a bubble, time passes only when all goroutines of the group wait.
func TestGroupInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Second})
		defer network.Close()
		g := groupOn(t, network, "10.0.0.1:53", 3)
		client, err := network.Dial(t.Context(), "udp", "10.0.0.1:53")
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		served := serveGroup(background, g, func(c *datagram.Conn, d datagram.Datagram) {
			conntest.ExpectError(t, "Send", c.Send(background, d.Reply(d.Payload)), nil)
			d.Release()
		})
		conntest.TrySend(t, client, conntest.ToPeer("question"))
		start := time.Now()
		conntest.Expect(t, client, "question")
		if passed := time.Since(start); passed != 2*time.Second {
			t.Errorf("the answer took %v", passed)
		}
		conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
		conntest.ExpectError(t, "Shutdown", g.Shutdown(background), nil)
		await.Closed(t, "Done", g.Done())
		if _, err := g.Files(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Files: %v", err)
		}
	})
}

func TestGroupNeedsDescriptors(t *testing.T) {
	g, network := listenGroup(t, 2)
	if files, err := g.Files(); files != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Files: %v, %v", files, err)
	}
	if g, err := datagram.OpenGroup([]*os.File{os.Stdin}, network.Option()); g != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("OpenGroup: %v, %v", g, err)
	}
	for _, files := range [][]*os.File{nil, {}, {nil}, {os.Stdin, nil}} {
		g, err := datagram.OpenGroup(files)
		if g != nil {
			t.Error("a group beside the error")
		}
		conntest.CheckErrno(t, err, syscall.EINVAL)
	}
}

// serveGroup runs Serve concurrently.
func serveGroup(ctx context.Context, g *datagram.Group, handle func(*datagram.Conn, datagram.Datagram)) <-chan error {
	result := make(chan error, 1)
	go func() { result <- g.Serve(ctx, handle) }()
	return result
}

func ignore(_ *datagram.Conn, d datagram.Datagram) { d.Release() }

func TestGroupServeEnds(t *testing.T) {
	isActive := func(c *datagram.Conn) bool { return c.Active() }
	for name, test := range map[string]struct {
		end  func(t *testing.T, g *datagram.Group, cancel func())
		want error
	}{
		"context":   {func(_ *testing.T, _ *datagram.Group, cancel func()) { cancel() }, context.Canceled},
		"Close":     {func(_ *testing.T, g *datagram.Group, _ func()) { g.Close() }, net.ErrClosed},
		"one Close": {func(_ *testing.T, g *datagram.Group, _ func()) { g.Conns()[1].Close() }, net.ErrClosed},
		"drained":   {func(t *testing.T, g *datagram.Group, _ func()) { g.DrainRecv(background) }, nil},
		"StopRecv on each": {func(_ *testing.T, g *datagram.Group, _ func()) {
			for _, c := range g.Conns() {
				c.StopRecv()
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := listenGroup(t, 3)
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			served := serveGroup(ctx, g, ignore)
			await.Until(t, "Serve", func() bool { return all(g, isActive) })
			test.end(t, g, cancel)
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), test.want)
			if slices.ContainsFunc(g.Conns(), isActive) {
				t.Error("a handle is still receiving")
			}
		})
	}
}

// An error of one handle ends the others, which stay open. No handler runs afterwards.
func TestGroupServeEndsWithAnErrorOfOneHandle(t *testing.T) {
	g, network := listenGroup(t, 3)
	sendFlows(t, network, g.LocalAddr(), 20)
	ch := g.Conns()[2].Recv()
	conntest.CheckErrno(t, g.Serve(background, func(*datagram.Conn, datagram.Datagram) { t.Error("a handler was called") }), syscall.EALREADY)
	if g.Conns()[0].Active() || g.Conns()[1].Active() || !g.Conns()[2].Active() {
		t.Error("Serve has stopped the other receiver, or not its own")
	}
	g.Conns()[2].StopRecv()
	for d := range ch {
		d.Release()
	}

	faults := datagramtest.NewFaults(1)
	g, network = listenGroup(t, 4, faults.Option())
	sendFlows(t, network, g.LocalAddr(), 40)
	var running atomic.Int64
	served := serveGroup(background, g, func(_ *datagram.Conn, d datagram.Datagram) {
		running.Add(1)
		defer running.Add(-1)
		faults.Inject(datagramtest.Fault{Op: datagramtest.OpReceive, Err: syscall.EBADF})
		d.Release()
	})
	conntest.CheckErrno(t, await.Value(t, "Serve", served), syscall.EBADF)
	if running.Load() != 0 {
		t.Error("a handler runs after Serve")
	}
	faults.Clear()
	for _, c := range g.Conns() {
		conntest.ExpectError(t, "StopRecv on an open handle", c.StopRecv(), nil)
	}
	if !g.LocalAddr().IsValid() {
		t.Error("the socket was closed")
	}
}

func TestGroupServeRefuses(t *testing.T) {
	g, _ := listenGroup(t, 2)
	conntest.CheckErrno(t, g.Serve(background, nil), syscall.EINVAL)
	conntest.CheckErrno(t, g.Serve(nil, ignore), syscall.EINVAL) //nolint:staticcheck // a mistake that must not panic
	conntest.ExpectBare(t, "ended", g.Serve(conntest.EndedContext(t), ignore), context.Canceled)
	conntest.CheckErrno(t, g.DrainRecv(nil), syscall.EINVAL) //nolint:staticcheck // a mistake that must not panic
	conntest.CheckErrno(t, g.Shutdown(nil), syscall.EINVAL)  //nolint:staticcheck // a mistake that must not panic
	conntest.ExpectError(t, "Close", g.Close(), nil)
	conntest.CheckErrno(t, g.Close(), net.ErrClosed)
	conntest.CheckErrno(t, g.Serve(background, ignore), net.ErrClosed)
	conntest.CheckErrno(t, g.DrainRecv(background), net.ErrClosed)
	conntest.CheckErrno(t, g.Shutdown(background), net.ErrClosed)
	if g.LocalAddr().IsValid() {
		t.Error("an address after Close")
	}
}

// A handler that panics or ends its goroutine does so to the caller of Serve, after all others have ended.
func TestGroupServeOfAHandlerThatDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("handler") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			g, network := listenGroup(t, 3)
			sendFlows(t, network, g.LocalAddr(), 20)
			recovered := make(chan any, 1)
			var once sync.Once
			returned := false
			go func() {
				defer func() { recovered <- recover() }()
				g.Serve(background, func(*datagram.Conn, datagram.Datagram) { once.Do(end) })
				returned = true
			}()
			value := await.Value(t, "the end of Serve", recovered)
			if returned || (value == "handler") != (name == "panic") {
				t.Errorf("Serve returned %v, recovered %v", returned, value)
			}
			if slices.ContainsFunc(g.Conns(), (*datagram.Conn).Active) {
				t.Error("a handle is still receiving")
			}
		})
	}
}

// A handler may use the group, even end it: only DrainRecv and Shutdown without an end wait for it.
func TestGroupInsideAHandler(t *testing.T) {
	for name, test := range map[string]struct {
		call func(g *datagram.Group) error
		want error // of Serve
	}{
		"Close": {(*datagram.Group).Close, net.ErrClosed},
		"StopRecv on each": {func(g *datagram.Group) error {
			var errs []error
			for _, c := range g.Conns() {
				errs = append(errs, c.StopRecv())
			}
			return errors.Join(errs...)
		}, nil},
		"DrainRecv": {func(g *datagram.Group) error {
			ctx, cancel := context.WithCancel(background)
			drained := make(chan error, 1)
			go func() { drained <- g.DrainRecv(ctx) }()
			await.NotYet(t, "DrainRecv inside a handler", drained)
			cancel()
			conntest.ExpectBare(t, "DrainRecv", <-drained, context.Canceled)
			return nil
		}, nil},
		"Serve": {func(g *datagram.Group) error {
			conntest.CheckErrno(t, g.Serve(background, ignore), syscall.EALREADY)
			return g.Close()
		}, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			g, network := listenGroup(t, 3)
			sendFlows(t, network, g.LocalAddr(), 20)
			called := make(chan error, 20)
			var once sync.Once
			served := serveGroup(background, g, func(_ *datagram.Conn, d datagram.Datagram) {
				d.Release()
				once.Do(func() { called <- test.call(g) })
			})
			conntest.ExpectError(t, name, await.Value(t, name, called), nil)
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), test.want)
		})
	}
}

// The group drains and resumes while its handles deliver in every way there is. Nothing is lost, and each flow stays
// in order.
func TestGroupDrainRecvLosesNothing(t *testing.T) {
	const flows, rounds = 8, 60
	g, network := listenGroup(t, 3, datagram.WithRecvQueue(2, datagram.Block))
	senders := make([]*datagram.Conn, flows)
	for i := range senders {
		c, err := network.Dial(t.Context(), "udp", g.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		senders[i] = conntest.CloseAtEnd(t, c)
	}
	var mu sync.Mutex
	next := make(map[netip.AddrPort]int)
	take := func(_ *datagram.Conn, d datagram.Datagram) {
		mu.Lock()
		defer mu.Unlock()
		if want := fmt.Sprint(next[d.Addr]); string(d.Payload) != want {
			t.Errorf("from %v %q, want %q", d.Addr, d.Payload, want)
		}
		next[d.Addr]++
		d.Release()
	}
	for round := range rounds {
		for _, c := range senders {
			conntest.TrySend(t, c, conntest.ToPeer(fmt.Sprint(round)))
		}
		if round%2 == 0 {
			served := serveGroup(background, g, take)
			await.Until(t, "Serve", func() bool { return all(g, (*datagram.Conn).Active) })
			conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
			conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
			continue
		}
		var readers sync.WaitGroup
		for _, c := range g.Conns() {
			ch := c.Recv()
			readers.Go(func() {
				for d := range ch {
					take(c, d)
				}
			})
		}
		conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
		await.Return(t, "all channels are closed", readers.Wait)
	}
	rest := serveGroup(background, g, take)
	await.Until(t, "Serve", func() bool { return all(g, (*datagram.Conn).Active) })
	await.Until(t, "all datagrams", func() bool { return g.Stats().Delivered == flows*rounds })
	conntest.ExpectError(t, "DrainRecv", g.DrainRecv(background), nil)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", rest), nil)
}

// Whoever closes a single handle ends Serve, no more: the others go on.
func TestGroupWithAClosedHandle(t *testing.T) {
	g, _ := listenGroup(t, 3)
	conns := g.Conns()
	conntest.ExpectError(t, "Close of one", conns[1].Close(), nil)
	conntest.CheckErrno(t, g.Serve(background, ignore), net.ErrClosed)
	conntest.CheckErrno(t, g.DrainRecv(background), net.ErrClosed)
	if conns[0].Active() || conns[2].Active() || g.LocalAddr() != conns[2].LocalAddr() {
		t.Error("Serve has left handles active, or the address is lost")
	}
	select {
	case <-g.Done():
		t.Error("Done with open handles")
	default:
	}
	conntest.ExpectError(t, "StopRecv of another", conns[2].StopRecv(), nil)
	conntest.CheckErrno(t, g.Shutdown(background), net.ErrClosed)
	await.Closed(t, "Done", g.Done())
}

func all(g *datagram.Group, holds func(*datagram.Conn) bool) bool {
	return !slices.ContainsFunc(g.Conns(), func(c *datagram.Conn) bool { return !holds(c) })
}

// What is sent to several hosts comes to every socket of the group, and is delivered once.
func TestGroupDeliversBroadcastAndMulticastOnce(t *testing.T) {
	const n = 3
	network := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer network.Close()
	host, err := network.AddHost(netip.MustParseAddr("10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := datagram.ListenGroup(t.Context(), "udp4", ":0", n, host.Option())
	if err != nil {
		t.Fatal(err)
	}
	closeGroupAtEnd(t, g)
	everyone := netip.MustParseAddr("224.0.0.9")
	conns := g.Conns()
	conntest.ExpectError(t, "JoinGroup", conns[1].JoinGroup(everyone, nil), nil)
	for _, c := range conns {
		conntest.CheckErrno(t, c.JoinGroup(everyone, nil), syscall.EADDRINUSE)
	}
	sender, err := network.Listen(t.Context(), "udp4", "10.0.0.2:0", datagram.WithBroadcast())
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, sender)
	port := g.LocalAddr().Port()
	for _, to := range []string{"224.0.0.9", "255.255.255.255", "10.0.0.1"} {
		conntest.TrySend(t, sender, datagram.To(netip.AddrPortFrom(netip.MustParseAddr(to), port), []byte(to)))
	}
	received := make(chan string, 3*n)
	served := serveGroup(background, g, func(_ *datagram.Conn, d datagram.Datagram) { received <- string(d.Payload) })
	await.Until(t, "all copies", func() bool { return g.Stats().Received == 1+n+1 })
	g.DrainRecv(background)
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), nil)
	close(received)
	got := slices.Sorted(func(yield func(string) bool) {
		for text := range received {
			yield(text)
		}
	})
	if want := []string{"10.0.0.1", "224.0.0.9", "255.255.255.255"}; !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
	if drops := g.Stats().PolicyDrops; drops != n-1 {
		t.Errorf("PolicyDrops is %d, want %d", drops, n-1)
	}
	conntest.ExpectError(t, "LeaveGroup", conns[2].LeaveGroup(everyone, nil), nil)
	conntest.CheckErrno(t, conns[1].LeaveGroup(everyone, nil), syscall.EADDRNOTAVAIL)
}

// A group on the system's network, which need not balance.
func TestListenGroupOnLoopback(t *testing.T) {
	for _, address := range []string{"localhost:0", "127.0.0.1:0"} {
		g, err := datagram.ListenGroup(t.Context(), "udp4", address, 0)
		if err != nil {
			t.Fatal(err)
		}
		closeGroupAtEnd(t, g)
		if balancing := g.Conns()[0].Capabilities().Balancing; balancing.Active != (len(g.Conns()) > 1) {
			t.Errorf("balancing %v among %d handles", balancing, len(g.Conns()))
		}
		served := serveGroup(background, g, func(c *datagram.Conn, d datagram.Datagram) {
			conntest.ExpectError(t, "Send", c.Send(background, d.Reply(d.Payload)), nil)
			d.Release()
		})
		for range 10 {
			client, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(g.LocalAddr()))
			if err != nil {
				t.Fatal(err)
			}
			conntest.WriteNumbers(t, client, 0, 1)
			conntest.ExpectRead(t, client, "0")
			client.Close()
		}
		conntest.ExpectError(t, "Shutdown", g.Shutdown(background), nil)
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve", served), net.ErrClosed)
	}
}

func TestGroupStatsAreSums(t *testing.T) {
	const flows = 20
	g, network := listenGroup(t, 3)
	sendFlows(t, network, g.LocalAddr(), flows)
	before := g.Stats()
	for _, c := range g.Conns() {
		c.Recv()
	}
	await.Until(t, "all datagrams", func() bool { return g.Stats().Received == flows })
	conntest.CheckMonotonic(t, before, g.Stats())
	sum := reflect.ValueOf(g.Stats())
	for i := range sum.NumField() {
		want := uint64(0)
		for _, c := range g.Conns() {
			want += reflect.ValueOf(c.Stats()).Field(i).Uint()
		}
		if sum.Field(i).Uint() != want {
			t.Errorf("%s is %d, want %d", sum.Type().Field(i).Name, sum.Field(i).Uint(), want)
		}
	}
	before = g.Stats()
	g.Close()
	conntest.CheckMonotonic(t, before, g.Stats())
}
