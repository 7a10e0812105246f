package conntest

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"example.com/datagram"
)

// Err returns the error of a call that returns another result too.
func Err[T any](_ T, err error) error { return err }

// ExpectError ends the test if an error does not match want, which may be nil.
func ExpectError(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		tb.Fatalf("%s: %v, want %v", what, err, want)
	}
}

// ExpectBare ends the test if an error is not want itself; an error that wraps want is not enough.
func ExpectBare(tb testing.TB, what string, err, want error) {
	tb.Helper()
	if err != want {
		tb.Fatalf("%s: %v (%T), want the bare %v", what, err, err, want)
	}
}

// CheckErrno checks that an error is a *net.OpError that wraps an errno or sentinel.
func CheckErrno(tb testing.TB, err, want error) {
	tb.Helper()
	if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.Is(err, want) {
		tb.Errorf("got %T (%v), want a *net.OpError with %v", err, err, want)
	}
}

// OpError describes a *net.OpError.
type OpError struct {
	Op, Network  string
	Source, Addr netip.AddrPort // zero: there must be none
	Is           error
	Text         string // part of the message
}

// CheckOpError checks that an error is the described *net.OpError.
func CheckOpError(tb testing.TB, err error, want OpError) {
	tb.Helper()
	var op *net.OpError
	if !errors.As(err, &op) {
		tb.Fatalf("got %T (%v), want a *net.OpError with %v", err, err, want.Is)
	}
	if error(op) != err {
		tb.Errorf("%v wraps its *net.OpError", err)
	}
	if again := (*net.OpError)(nil); errors.As(op.Err, &again) {
		tb.Errorf("%v holds a second *net.OpError", err)
	}
	if want.Is != nil && !errors.Is(err, want.Is) {
		tb.Errorf("%v does not match %v", err, want.Is)
	}
	if op.Op != want.Op || op.Net != want.Network {
		tb.Errorf("%v: Op %q, Net %q, want %q, %q", err, op.Op, op.Net, want.Op, want.Network)
	}
	checkAddr(tb, err, "Source", op.Source, want.Source)
	checkAddr(tb, err, "Addr", op.Addr, want.Addr)
	if !strings.Contains(err.Error(), want.Text) {
		tb.Errorf("%q does not say %q", err, want.Text)
	}
}

func checkAddr(tb testing.TB, err error, field string, got net.Addr, want netip.AddrPort) {
	tb.Helper()
	group, isGroup := got.(*net.IPAddr) // has no port
	switch {
	case !want.IsValid() && got != nil:
		tb.Errorf("%v: %s is %v, want none", err, field, got)
	case isGroup && want.Port() == 0 && group.String() == want.Addr().String():
	case want.IsValid() && (got == nil || got.String() != want.String()):
		tb.Errorf("%v: %s is %v, want %v", err, field, got, want)
	}
}

// State is the state of a handle that a refused call must not change.
type State struct {
	Local, Remote            netip.AddrPort
	Active                   bool
	QueueSize, QueueCount    int
	TTL, MulticastTTL        int
	ReadBuffer, WriteBuffer  int
	MulticastLoopback        bool
	MulticastInterface       string
	Accepted, Sent, Failures uint64
	ReceiveError             string
}

// StateOf returns the state of a handle.
func StateOf(c *datagram.Conn) State {
	s := State{
		Local: c.LocalAddr(), Remote: c.RemoteAddr(), Active: c.Active(),
		QueueSize: c.SendQueueSize(), QueueCount: c.SendQueueCount(),
	}
	// The zero value of a failed getter is a state, too.
	s.TTL, _ = c.TTL()
	s.MulticastTTL, _ = c.MulticastTTL()
	s.ReadBuffer, _ = c.ReadBuffer()
	s.WriteBuffer, _ = c.WriteBuffer()
	s.MulticastLoopback, _ = c.MulticastLoopback()
	if ifi, err := c.MulticastInterface(); err == nil && ifi != nil {
		s.MulticastInterface = ifi.Name
	}
	stats := c.Stats()
	s.Accepted, s.Sent, s.Failures = stats.Accepted, stats.Sent, stats.SendErrors
	if err := c.Err(); err != nil {
		s.ReceiveError = err.Error()
	}
	return s
}

// CheckUnchanged checks that a handle still has the given state.
func CheckUnchanged(tb testing.TB, c *datagram.Conn, before State) {
	tb.Helper()
	if after := StateOf(c); after != before {
		tb.Errorf("the refused call changed the handle:\n was %+v\n is  %+v", before, after)
	}
}

// CheckLedger checks that a snapshot adds up.
func CheckLedger(tb testing.TB, s datagram.Stats) {
	tb.Helper()
	if s.Accepted != s.Sent+s.SendErrors+s.Queued {
		tb.Errorf("Accepted %d != Sent %d + SendErrors %d + Queued %d", s.Accepted, s.Sent, s.SendErrors, s.Queued)
	}
	if s.Received != s.Delivered+s.PolicyDrops+s.StaleDrops+s.CloseDrops+s.Held {
		tb.Errorf("Received %d != Delivered %d + PolicyDrops %d + StaleDrops %d + CloseDrops %d + Held %d",
			s.Received, s.Delivered, s.PolicyDrops, s.StaleDrops, s.CloseDrops, s.Held)
	}
}

// CheckMonotonic checks that no counter decreased between two snapshots. Queued and Held are levels, not
// counters.
func CheckMonotonic(tb testing.TB, before, after datagram.Stats) {
	tb.Helper()
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		switch name := a.Type().Field(i).Name; {
		case name == "Queued", name == "Held":
		case b.Field(i).Uint() < a.Field(i).Uint():
			tb.Errorf("%s fell from %d to %d", name, a.Field(i).Uint(), b.Field(i).Uint())
		}
	}
}
