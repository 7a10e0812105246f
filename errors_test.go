package datagram_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
)

func TestSentinelErrors(t *testing.T) {
	full, wouldBlock := datagram.ErrQueueFull, datagram.ErrWouldBlock
	if !errors.Is(wouldBlock, syscall.EAGAIN) { //nolint:staticcheck // it is the sentinel that has an Is method
		t.Error("ErrWouldBlock does not match EAGAIN")
	}
	if errors.Is(full, syscall.EAGAIN) || errors.Is(wouldBlock, full) || errors.Is(wouldBlock, syscall.EINVAL) { //nolint:staticcheck // as above
		t.Error("the sentinels match what they are not")
	}
	var timeout net.Error
	if !errors.As(datagram.ErrWouldBlock, &timeout) || !timeout.Timeout() {
		t.Error("ErrWouldBlock is not a net.Error that passes with time")
	}
	if wrapped := fmt.Errorf("wrapped: %w", datagram.ErrWouldBlock); !errors.Is(wrapped, datagram.ErrWouldBlock) {
		t.Error("ErrWouldBlock does not match itself")
	}
}

func TestRetryErrorsComeBare(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	if err := c.Send(endedContext(t), datagram.To(c.LocalAddr(), nil)); err != context.Canceled {
		t.Errorf("Send: %T, %v; want the bare error of the context", err, err)
	}
	if err := c.Serve(endedContext(t), func(datagram.Datagram) {}); err != context.Canceled {
		t.Errorf("Serve: %T, %v; want the bare error of the context", err, err)
	}
	if err := c.Flush(endedContext(t)); err != context.Canceled {
		t.Errorf("Flush: %T, %v; want the bare error of the context", err, err)
	}
	// The context comes before anything else that is wrong.
	connected := dialedConn(t, c)
	if err := connected.SendFunc(endedContext(t), datagram.To(c.LocalAddr(), nil), nil); err != context.Canceled {
		t.Errorf("SendFunc: %v", err)
	}
	if err := connected.SendBuffers(endedContext(t), datagram.To(c.LocalAddr(), []byte("x")), nil, nil); err != context.Canceled {
		t.Errorf("SendBuffers: %v", err)
	}
	if err := connected.Shutdown(endedContext(t)); err != context.Canceled {
		t.Errorf("Shutdown: %v", err)
	}
	awaitClosed(t, connected.Done(), "the handle of the Shutdown that had no time")
}

func TestRetryErrorsDoNotAllocate(t *testing.T) {
	ctx := endedContext(t)
	c := boundConn(t, "udp4", "127.0.0.1:0")
	d := datagram.To(c.LocalAddr(), []byte("x"))
	allocs := testing.AllocsPerRun(100, func() {
		if err := c.Send(ctx, d); err != context.Canceled {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("a refused Send allocates %v times", allocs)
	}
}

// What the kernel says of a datagram names where it went and where from.
func TestSendErrorsNameTheAddresses(t *testing.T) {
	failed := make(chan error, 1)
	c := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithErrorHandler(func(err error) { failed <- err }))
	to := netip.MustParseAddrPort("127.0.0.1:9")
	tooLong := make([]byte, 65508)
	want := opShape{op: "write", network: "udp4", source: c.LocalAddr(), addr: to, is: syscall.EMSGSIZE}

	n, err := c.TrySend(datagram.To(to, tooLong))
	checkOpError(t, err, want)
	if n != 0 {
		t.Errorf("TrySend sent %d bytes of what it refused", n)
	}
	if err := c.Send(t.Context(), datagram.To(to, tooLong)); err != nil {
		t.Fatal(err)
	}
	checkOpError(t, awaitValue(t, failed, "the error handler"), want)
	err = c.SendFunc(t.Context(), datagram.To(to, tooLong), func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	checkOpError(t, awaitValue(t, failed, "done"), want)

	_, err = c.TrySend(datagram.To(netip.MustParseAddrPort("127.0.0.1:0"), nil))
	checkErrno(t, err, syscall.EINVAL)

	connected := lazyConn(t)
	if err := connected.Connect(to); err != nil {
		t.Fatal(err)
	}
	_, err = connected.TrySend(datagram.Datagram{Payload: tooLong})
	checkOpError(t, err, opShape{op: "write", network: "udp4", source: connected.LocalAddr(), addr: to, is: syscall.EMSGSIZE})
}

func TestGroupErrors(t *testing.T) {
	needIPv6(t)
	lo := loopbackInterface(t)
	for _, test := range []struct{ network, group, other string }{
		{"udp4", "239.255.7.7", "239.255.7.8"}, {"udp6", "ff02::7:7", "ff02::7:8"}, {"udp", "239.255.7.7", "ff02::7:7"},
	} {
		group, other := netip.MustParseAddr(test.group), netip.MustParseAddr(test.other)
		c := boundConn(t, test.network, ":0")
		shape := func(op string, of netip.Addr, errno error) opShape {
			return opShape{op: op, network: test.network, source: c.LocalAddr(), addr: netip.AddrPortFrom(of, 0), is: errno}
		}
		checkOpError(t, c.LeaveGroup(group, lo), shape("leave", group, syscall.EADDRNOTAVAIL))
		if err := c.JoinGroup(group, lo); err != nil {
			t.Fatal(err)
		}
		checkOpError(t, c.JoinGroup(group, lo), shape("join", group, syscall.EADDRINUSE))
		checkOpError(t, c.LeaveGroup(other, lo), shape("leave", other, syscall.EADDRNOTAVAIL))
		if err := c.LeaveGroup(group, lo); err != nil {
			t.Fatal(err)
		}
		checkOpError(t, c.LeaveGroup(group, lo), shape("leave", group, syscall.EADDRNOTAVAIL))
	}
}

// No system is asked about what cannot be: the handle stays without a socket.
func TestGroupsThatAreNone(t *testing.T) {
	group4, group6 := netip.MustParseAddr("239.255.7.7"), netip.MustParseAddr("ff02::7:7")
	bound := boundConn(t, "udp4", "127.0.0.1:0")
	for _, c := range []*datagram.Conn{lazyConn(t), bound} {
		before := stateOf(c)
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%s: %v, want EINVAL", what, err)
			}
			checkErrno(t, err, syscall.EINVAL)
			checkUnchanged(t, c, before)
		}
		for _, none := range []netip.Addr{{}, loopback4, loopback6, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")} {
			check("join "+none.String(), c.JoinGroup(none, nil))
			check("leave "+none.String(), c.LeaveGroup(none, nil))
			check("join source "+none.String(), c.JoinSourceGroup(none, loopback4, nil))
			check("leave source "+none.String(), c.LeaveSourceGroup(none, loopback4, nil))
		}
		for _, pair := range [][2]netip.Addr{{group4, {}}, {group4, loopback6}, {group6, loopback4}, {group6, {}}} {
			check("join source of another family", c.JoinSourceGroup(pair[0], pair[1], nil))
			check("leave source of another family", c.LeaveSourceGroup(pair[0], pair[1], nil))
		}
	}
}

// Errors say what was tried: to dial, to get, to set.
func TestOperations(t *testing.T) {
	op := func(err error) string {
		if e, ok := err.(*net.OpError); ok {
			return e.Op
		}
		return fmt.Sprint(err)
	}
	c := lazyConn(t)
	for want, err := range map[string]error{
		"dial":   second(datagram.Dial(t.Context(), "udp4", "[::1]:9")),
		"get":    second(c.TTL()),
		"set":    c.SetTTL(0),
		"listen": c.Bind(t.Context(), "udp4", "192.0.2.1:0"),
	} {
		if got := op(err); got != want {
			t.Errorf("%v: the operation is %q, want %q", err, got, want)
		}
	}
	network, address := "udp4", "127.0.0.1:9"
	refused := datagram.WithMulticastInterface(&net.Interface{Index: 1 << 30})
	if got := op(second(datagram.Dial(t.Context(), network, address, refused))); got != "dial" {
		t.Errorf("a setting that is refused while dialing: the operation is %q", got)
	}
}
