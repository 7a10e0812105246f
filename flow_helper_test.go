package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"example.com/datagram"
)

// longest is how long a test waits for what has to happen.
const longest = 10 * time.Second

// background is the context of calls that do not wait.
var background = context.Background()

// await returns what comes out of a channel, and ends the test with the stacks of
// all goroutines if nothing does.
func await[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		dumpStacks(t, what)
		panic("unreachable")
	}
}

// finishes runs f, which must return in time and must not end the test.
func finishes(t *testing.T, what string, f func()) {
	t.Helper()
	await(t, what, starts(f))
}

// starts runs f beside the test and returns a channel that is closed after it.
func starts(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// eventually waits until a condition holds that nothing announces.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(100 * time.Microsecond) {
		if time.Since(start) > longest {
			dumpStacks(t, what)
		}
	}
}

// notYet fails if something has happened that must not have. It gives it some
// time to, which can only make a fault more likely to show.
func notYet[T any](t *testing.T, what string, ch <-chan T) {
	t.Helper()
	select {
	case <-ch:
		t.Fatalf("too early: %s", what)
	case <-time.After(20 * time.Millisecond):
	}
}

func dumpStacks(t *testing.T, what string) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	t.Fatalf("waited %v in vain: %s\n\n%s", longest, what, stacks)
}

// raceEnabled says that the race detector, which allocates, is compiled in.
var raceEnabled = func() bool {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "-race" {
			return setting.Value == "true"
		}
	}
	return false
}()

// allOffloads makes a test that looks at offloads independent of the environment, with whose
// help all others can be run without them.
func allOffloads(t *testing.T) {
	t.Helper()
	t.Setenv("DATAGRAM_OFFLOAD", "")
}

// loopback returns a handle on the loopback interface. Like every handle of these
// tests it is closed at the end of the test, and nothing of it may run on.
func loopback(t *testing.T, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	return listening(t, "127.0.0.1:0", opts...)
}

func listening(t *testing.T, address string, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	c, err := datagram.Listen(background, "udp4", address, opts...)
	if err != nil {
		t.Fatal(err)
	}
	closedAtEnd(t, c)
	return c
}

func closedAtEnd(t *testing.T, c *datagram.Conn) {
	t.Cleanup(func() {
		c.Close()
		await(t, "Done after Close", c.Done())
		checkLedger(t, c.Stats())
	})
}

// plainSocket returns a socket of package net that is connected to c: nothing of the
// package under test is between it and the system.
func plainSocket(t *testing.T, c *datagram.Conn) *net.UDPConn {
	t.Helper()
	to := c.LocalAddr()
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
	}
	s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.SetDeadline(time.Now().Add(longest)); err != nil {
		t.Fatal(err)
	}
	return s
}

// unboundSocket returns a socket of package net that is not connected.
func unboundSocket(t *testing.T) *net.UDPConn {
	t.Helper()
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.SetDeadline(time.Now().Add(longest)); err != nil {
		t.Fatal(err)
	}
	return s
}

func addrOf(c net.PacketConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// writeNumbers sends the numbers from first up to but without end, as text, a datagram each.
func writeNumbers(t *testing.T, s *net.UDPConn, first, end int) {
	t.Helper()
	for i := first; i < end; i++ {
		if _, err := fmt.Fprint(s, i); err != nil {
			t.Fatal(err)
		}
	}
}

// text receives a datagram, releases it and returns its payload.
func text(t *testing.T, ch <-chan datagram.Datagram) string {
	t.Helper()
	d := await(t, "a datagram", ch)
	defer d.Release()
	return string(d.Payload)
}

// expectNumbers receives what writeNumbers sends.
func expectNumbers(t *testing.T, ch <-chan datagram.Datagram, first, end int) {
	t.Helper()
	for i := first; i < end; i++ {
		if got := text(t, ch); got != fmt.Sprint(i) {
			t.Fatalf("received %q, want %d", got, i)
		}
	}
}

// expectClosed checks that a channel is closed and empty.
func expectClosed(t *testing.T, ch <-chan datagram.Datagram) {
	t.Helper()
	if d := await(t, "the channel to be closed", ch); d.Addr.IsValid() || d.Payload != nil {
		t.Fatalf("received %q, want a closed channel", d.Payload)
	}
}

// expectText reads a datagram of that text from a socket of package net.
func expectText(t *testing.T, s net.Conn, want string) {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := s.Read(b)
	if err != nil || string(b[:n]) != want {
		t.Fatalf("read %q, %v, want %q", b[:n], err, want)
	}
}

func expectError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Fatalf("%s: %v, want %v", what, err, want)
	}
}

// expectBare checks that an error is want itself, not something that wraps it.
func expectBare(t *testing.T, what string, err, want error) {
	t.Helper()
	if err != want {
		t.Fatalf("%s: %v (%T), want the bare %v", what, err, err, want)
	}
}

// checkLedger checks that a snapshot adds up.
func checkLedger(t *testing.T, s datagram.Stats) {
	t.Helper()
	if s.Accepted != s.Sent+s.SendErrors+s.Queued {
		t.Errorf("Accepted %d != Sent %d + SendErrors %d + Queued %d", s.Accepted, s.Sent, s.SendErrors, s.Queued)
	}
	if s.Received != s.Delivered+s.PolicyDrops+s.StaleDrops+s.CloseDrops+s.Held {
		t.Errorf("Received %d != Delivered %d + PolicyDrops %d + StaleDrops %d + CloseDrops %d + Held %d",
			s.Received, s.Delivered, s.PolicyDrops, s.StaleDrops, s.CloseDrops, s.Held)
	}
}

// checkMonotonic checks that no counter fell between two snapshots. Queued and
// Held are levels, not counters.
func checkMonotonic(t *testing.T, before, after datagram.Stats) {
	t.Helper()
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		switch name := a.Type().Field(i).Name; {
		case name == "Queued", name == "Held":
		case b.Field(i).Uint() < a.Field(i).Uint():
			t.Errorf("%s fell from %d to %d", name, a.Field(i).Uint(), b.Field(i).Uint())
		}
	}
}

// held waits until the handle has taken n datagrams that nobody has read.
func held(t *testing.T, c *datagram.Conn, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d datagrams held", n), func() bool { return c.Stats().Held == uint64(n) })
}

// stalled returns a handle on one end of a Unix socket pair, in which the system has
// room for nothing more until somebody reads from the other end, and how many
// datagrams that takes: the only way to an EAGAIN on demand.
func stalled(t *testing.T, opts ...datagram.Option) (c *datagram.Conn, peer net.Conn, full int) {
	t.Helper()
	c, peer = unixPair(t, opts...)
	for {
		n, err := c.TrySend(datagram.To(netip.AddrPort{}, []byte("fill")))
		if err == datagram.ErrWouldBlock {
			return c, peer, full
		}
		if err != nil || n != 4 {
			t.Fatalf("TrySend: %d, %v", n, err)
		}
		full++
	}
}

// unaddressed returns a datagram to the connected peer.
func unaddressed(payload string) datagram.Datagram {
	return datagram.Datagram{Payload: []byte(payload)}
}

// readFill reads what stalled has put before everything else.
func readFill(t *testing.T, peer net.Conn, full int) {
	t.Helper()
	for range full {
		expectText(t, peer, "fill")
	}
}

// goroutine returns the name of the calling goroutine.
func goroutine() string {
	b := make([]byte, 64)
	name, _, _ := strings.Cut(string(b[:runtime.Stack(b, false)]), " [")
	return name
}
