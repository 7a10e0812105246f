package datagramtest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestListenAndDial(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Millisecond}, func(w *world) {
		server := w.conn(w.Listen(w.Context(), "udp", "10.0.0.1:53"))
		client := w.conn(w.Dial(w.Context(), "udp", "10.0.0.1:53"))
		if local := client.LocalAddr().Addr(); local != w.Host().Addrs()[0] {
			t.Errorf("dialled from %v, want %v", local, w.Host().Addrs()[0])
		}
		if client.RemoteAddr() != server.LocalAddr() {
			t.Errorf("dialled %v, want %v", client.RemoteAddr(), server.LocalAddr())
		}
		if _, err := client.TrySend(datagram.Datagram{Payload: []byte("question")}); err != nil {
			t.Fatal(err)
		}
		if err := server.Send(w.Context(), w.next(server).Reply([]byte("answer"))); err != nil {
			t.Fatal(err)
		}
		w.expect(client, "answer")
	})
}

// A handle made by the package's own constructors is on the network too.
func TestOption(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		c := w.conn(datagram.New(w.Option()))
		if err := c.Bind(w.Context(), "udp6", "[2001:db8::7]:7"); err != nil {
			t.Fatal(err)
		}
		d := w.conn(datagram.Dial(w.Context(), "udp", "[2001:db8::7]:7", w.Option()))
		if err := d.Send(w.Context(), datagram.Datagram{Payload: []byte("hello")}); err != nil {
			t.Fatal(err)
		}
		if got := w.next(c); got.Addr != d.LocalAddr() || string(got.Payload) != "hello" {
			t.Errorf("received %q from %v, want it from %v", got.Payload, got.Addr, d.LocalAddr())
		}
	})
}

func TestAddressInUse(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		first := w.conn(w.Listen(w.Context(), "udp4", "10.0.0.1:53"))
		if _, err := w.Listen(w.Context(), "udp4", "10.0.0.1:53"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same port again: %v", err)
		}
		w.conn(w.Listen(w.Context(), "udp4", "10.0.0.2:53")) // another host
		first.Close()
		w.conn(w.Listen(w.Context(), "udp4", "10.0.0.1:53"))
		if _, err := w.Host().Listen(w.Context(), "udp4", "10.0.0.1:0"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
			t.Errorf("an address of another host: %v", err)
		}
		if _, err := w.Listen(w.Context(), "udp4", "server.example:53"); err == nil {
			t.Error("a name was looked up")
		}
		ended, cancel := context.WithCancel(w.Context())
		cancel()
		if _, err := w.Listen(ended, "udp4", "10.0.0.1:0"); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

// A host with several addresses answers from the one that was asked. It has its own loopback addresses.
func TestHosts(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		first, second := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("2001:db8::1:1")
		local := netip.MustParseAddr("fe80::1")
		host, err := w.AddHost(first, second, local)
		if err != nil {
			t.Fatal(err)
		}
		server := w.conn(host.Listen(w.Context(), "udp", ":53"))
		for _, asked := range []netip.Addr{first, second, local} {
			client := w.conn(w.Listen(w.Context(), "udp", netip.AddrPortFrom(map[bool]netip.Addr{
				true: here, false: netip.MustParseAddr("fe80::2%eth0"),
			}[asked.Is4()], 0).String()))
			if asked == local {
				asked = asked.WithZone(host.Interface().Name)
			}
			w.sendTo(client, netip.AddrPortFrom(asked, 53), "question")
			d := w.next(server)
			if d.Meta.Local != asked || d.Addr != client.LocalAddr() || d.Meta.IfIndex != host.Interface().Index {
				t.Errorf("received from %v at %+v, want from %v at %v", d.Addr, d.Meta, client.LocalAddr(), asked)
			}
			if _, err := server.TrySend(d.Reply([]byte("answer"))); err != nil {
				t.Fatal(err)
			}
			if got := w.next(client).Addr; got != netip.AddrPortFrom(asked, 53) {
				t.Errorf("answer from %v, want %v", got, asked)
			}
		}

		inside, outside := w.conn(host.Listen(w.Context(), "udp", "127.0.0.1:9")), w.conn(w.Listen(w.Context(), "udp", "127.0.0.1:9"))
		w.sendTo(w.conn(host.Listen(w.Context(), "udp", "127.0.0.1:0")), inside.LocalAddr(), "inside")
		w.expect(inside, "inside")
		w.nothing(outside)

		for _, addrs := range [][]netip.Addr{nil, {{}}, {netip.IPv4Unspecified()}, {netip.MustParseAddr("127.0.0.9")}, {netip.MustParseAddr("224.0.0.9")}, {beyond, beyond}} {
			if _, err := w.AddHost(addrs...); !errors.Is(err, syscall.EINVAL) {
				t.Errorf("AddHost(%v): %v, want EINVAL", addrs, err)
			}
		}
		if _, err := w.AddHost(beyond, first); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("an address of another host: %v", err)
		}
	})
}

// The last handle to take over a port has it. Those that share it each get some of the senders.
func TestReuse(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		client := w.at(there)
		w.conn(w.Listen(w.Context(), "udp4", "10.0.0.1:1", datagram.WithReuseAddr()))
		thief := w.conn(w.Listen(w.Context(), "udp4", "10.0.0.1:1", datagram.WithReuseAddr()))
		w.send(client, thief, "mine")
		w.expect(thief, "mine")

		shares := make([]*datagram.Conn, 2)
		for i := range shares {
			shares[i] = w.conn(w.Listen(w.Context(), "udp4", "10.0.0.1:2", datagram.WithReusePort()))
		}
		for range 20 {
			from := w.at(there)
			w.send(from, shares[0], "one")
			w.send(from, shares[0], "two")
		}
		senders := make([]map[netip.AddrPort]bool, 2)
		for i, c := range shares {
			senders[i] = make(map[netip.AddrPort]bool)
			time.AfterFunc(time.Second, func() { c.StopRecv() })
			for d := range c.Recv() {
				senders[i][d.Addr] = true
			}
		}
		if len(senders[0]) == 0 || len(senders[1]) == 0 || len(senders[0])+len(senders[1]) != 20 {
			t.Errorf("shared as %v", senders)
		}
	})
}

func TestRefused(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		w.SetLink(only(there), all, datagramtest.Link{Delay: time.Second}) // the way back
		gone := netip.AddrPortFrom(there, 9)
		told := make(chan error, 9)
		handler := datagram.WithErrorHandler(func(err error) { told <- err })

		connected := w.at(here, handler)
		if err := connected.Connect(gone); err != nil {
			t.Fatal(err)
		}
		connected.Recv()
		start := time.Now()
		if err := connected.Send(w.Context(), datagram.Datagram{Payload: []byte("anybody")}); err != nil {
			t.Fatal(err)
		}
		if err := <-told; !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) != time.Second {
			t.Errorf("connected: %v after %v", err, time.Since(start))
		}

		asking := w.at(here, handler, datagram.WithNetworkErrors())
		asking.Recv()
		w.sendTo(asking, gone, "anybody")
		var report *datagram.NetworkError
		want := datagram.NetworkError{Dst: gone, Offender: there, Err: syscall.ECONNREFUSED}
		if err := <-told; !errors.As(err, &report) || *report != want {
			t.Errorf("asking: %v, want %v", err, want)
		}

		w.sendTo(asking, gone, "anybody")
		w.Partition(only(here), only(there))
		w.sendTo(asking, gone, "anybody")
		silent := w.at(here, handler)
		w.sendTo(silent, netip.AddrPortFrom(beyond, 9), "anybody")
		w.nothing(silent)
		if len(told) != 1 { // the report in transit
			t.Errorf("told %d times", len(told))
		}
		w.want(datagramtest.Stats{Sent: 5, Refused: 4, Lost: 1})
	})
}

// A report that nobody listened fails no later datagram, and reaches handles that do not receive, too.
func TestRefusalFailsNoSend(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		there := netip.AddrPortFrom(there, 9)
		told := make(chan error, 9)
		c := w.at(here, datagram.WithErrorHandler(func(err error) { told <- err }))
		if err := c.Connect(there); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.TrySend(datagram.Datagram{Payload: []byte("anybody")}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if err := <-told; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("told of %v, want ECONNREFUSED", err)
		}
		if s := c.Stats(); s.Sent != 2 || s.SendErrors != 0 || s.ReceiveErrors != 1 {
			t.Errorf("%+v, want 2 sent and an error received", s)
		}
		w.want(datagramtest.Stats{Sent: 2, Refused: 2})
	})
}

// The network and the handle count datagrams that overflow the receive buffer.
func TestReceiveBuffer(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		a, b := w.at(here), w.at(there, datagram.WithReadBuffer(10000))
		const sent = 100
		for i := range sent {
			w.send(a, b, fmt.Sprint(i))
		}
		s := w.Stats()
		if s.Overflowed == 0 || s.Overflowed != b.Stats().KernelDrops || s.Delivered+s.Overflowed != sent {
			t.Errorf("%v, and %d by the handle", s, b.Stats().KernelDrops)
		}
		for i := range s.Delivered {
			w.expect(b, fmt.Sprint(i))
		}
		for range sent { // there is room again, and some remains
			w.send(a, b, "x")
			w.expect(b, "x")
		}
	})
}

// Unless a test asks for it, nothing overflows, however long the reader does not run.
func TestNoOverflow(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		a, b := w.at(here), w.at(there)
		for range 10_000 {
			w.send(a, b, "x")
		}
		w.want(datagramtest.Stats{Sent: 10_000, Delivered: 10_000})
	})
}

// Network errors take room in the receive buffer, and none is lost while there is room.
func TestManyNetworkErrors(t *testing.T) {
	const sent = 1000
	for buffer, all := range map[int]bool{1 << 20: true, 1 << 10: false} {
		simulate(t, 1, datagramtest.Link{}, func(w *world) {
			told := 0
			c := w.at(here, datagram.WithNetworkErrors(), datagram.WithReadBuffer(buffer),
				datagram.WithErrorHandler(func(error) { told++ }))
			for i := range sent {
				w.sendTo(c, netip.AddrPortFrom(there, uint16(i+1)), "anybody")
			}
			w.nothing(c)
			synctest.Wait()
			if told == 0 || (told == sent) != all {
				t.Errorf("told of %d with a buffer of %d", told, buffer)
			}
			w.send(c, c, "there is room again")
			w.expect(c, "there is room again")
		})
	}
}

func TestNetworkClose(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		n := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Hour})
		a, b := w.conn(n.Listen(w.Context(), "udp", "10.0.0.1:0")), w.conn(n.Listen(w.Context(), "udp", "10.0.0.2:0"))
		w.send(a, b, "never to arrive")
		ch := b.Recv()
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if _, ok := <-ch; ok || !errors.Is(b.Err(), net.ErrClosed) {
			t.Errorf("receiving goes on: %v", b.Err())
		}
		for name, call := range map[string]func() error{
			"Send": func() error { _, err := a.TrySend(datagram.To(b.LocalAddr(), nil)); return err },
			"Set":  func() error { return a.SetTTL(9) },
			"Listen": func() error {
				_, err := n.Listen(w.Context(), "udp", "10.0.0.1:0")
				return err
			},
			"Close": n.Close,
		} {
			if err := call(); err == nil {
				t.Errorf("%s works", name)
			}
		}
		if s := n.Stats(); s != (datagramtest.Stats{Sent: 1, Lost: 1}) {
			t.Errorf("%v", s)
		}
		if err := a.Close(); err != nil {
			t.Errorf("closing a handle: %v", err)
		}
	})
}

func TestNoDescriptor(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		c := w.at(here)
		if _, err := c.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("SyscallConn: %v", err)
		}
		if _, err := c.File(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("File: %v", err)
		}
		called := false
		w.at(here, datagram.WithControl(func(network, address string, raw syscall.RawConn) error {
			called = network == "udp4" && strings.HasPrefix(address, "10.0.0.1:")
			if err := raw.Control(func(uintptr) {}); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Control: %v", err)
			}
			return nil
		}))
		if !called {
			t.Error("the control function was not called as it should")
		}
		w.at(here, datagram.WithInterface("eth0"))
		if _, err := w.Listen(w.Context(), "udp", "10.0.0.1:0", datagram.WithInterface("eth1")); !errors.Is(err, syscall.ENODEV) {
			t.Errorf("eth1: %v", err)
		}
	})
}

// An hour of traffic takes moments.
func TestHour(t *testing.T) {
	real := time.Now()
	simulate(t, 1, datagramtest.Link{Loss: 0.05, Delay: 50 * time.Millisecond, Jitter: 20 * time.Millisecond}, func(w *world) {
		server, client := w.at(here), w.at(there)
		var wg sync.WaitGroup
		wg.Go(func() {
			for d := range server.Recv() {
				_ = server.Send(context.Background(), d.Reply(d.Payload))
				d.Release()
			}
		})
		answers := 0
		wg.Go(func() {
			for d := range client.Recv() {
				answers++
				d.Release()
			}
		})
		start := time.Now()
		for time.Since(start) < time.Hour {
			w.send(client, server, "are you there?")
			time.Sleep(100 * time.Millisecond)
		}
		server.StopRecv()
		client.StopRecv()
		wg.Wait()
		if s := w.Stats(); answers < 30000 || uint64(answers)*2 > s.Delivered {
			t.Errorf("%d answers, %v", answers, s)
		}
	})
	t.Logf("an hour took %v", time.Since(real))
}

// Outside a bubble time is real.
func TestRealTime(t *testing.T) {
	const delay = 5 * time.Millisecond
	n := datagramtest.NewNetwork(1, datagramtest.Link{Delay: delay})
	defer n.Close()
	a, err := n.Listen(t.Context(), "udp", "10.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	start := time.Now()
	for range 3 {
		if err := a.Send(t.Context(), datagram.To(a.LocalAddr(), []byte("to myself"))); err != nil {
			t.Fatal(err)
		}
		if d := <-a.Recv(); string(d.Payload) != "to myself" {
			t.Errorf("received %q", d.Payload)
		}
	}
	if took := time.Since(start); took < 3*delay {
		t.Errorf("took %v", took)
	}
}

func TestLog(t *testing.T) {
	simulate(t, 1, datagramtest.Link{Delay: time.Second}, func(w *world) {
		a, b := w.conn(w.Listen(w.Context(), "udp", "10.0.0.1:1")), w.conn(w.Listen(w.Context(), "udp", "10.0.0.2:2"))
		w.send(a, b, "hello")
		w.expect(b, "hello")
		want := "0s 10.0.0.1:1 -> 10.0.0.2:2 #0, 5 bytes: sent\n1s 10.0.0.1:1 -> 10.0.0.2:2 #0, 5 bytes: delivered\n"
		got := ""
		for _, e := range w.Log() {
			got += e.String() + "\n"
		}
		if got != want {
			t.Errorf("log:\n%swant:\n%s", got, want)
		}
		w.Partition(all, all)
		for range 1 << 15 {
			w.send(a, b, "x")
		}
		log := w.Log()
		if len(log) != 1<<16 || log[0].Number != 1 || log[len(log)-1].Number != 1<<15 {
			t.Errorf("%d events, from %v to %v", len(log), log[0], log[len(log)-1])
		}
		if last := log[len(log)-1].String(); !strings.HasSuffix(last, "lost (partition)") {
			t.Error(last)
		}
	})
}
