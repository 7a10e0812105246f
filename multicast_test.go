package datagram_test

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

func TestInterfaceOfAddress(t *testing.T) {
	lo := conntest.LoopbackInterface(t)
	if lo == nil || lo.Flags&net.FlagLoopback == 0 {
		t.Fatalf("the interface of %v is %v", conntest.Localhost4, lo)
	}
	for _, addr := range []netip.Addr{
		netip.AddrFrom16(conntest.Localhost4.As16()), netip.IPv6Unspecified().WithZone(lo.Name), netip.MustParseAddr("fe80::1").WithZone(lo.Name),
		netip.MustParseAddr("fe80::1").WithZone(strconv.Itoa(lo.Index)),
	} {
		if ifi, err := datagram.InterfaceByAddr(addr); err != nil || ifi == nil || ifi.Index != lo.Index {
			t.Errorf("the interface of %v is %v, %v", addr, ifi, err)
		}
	}
	for _, addr := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		if ifi, err := datagram.InterfaceByAddr(addr); err != nil || ifi != nil {
			t.Errorf("the interface of %v is %v, %v; want the system's choice", addr, ifi, err)
		}
	}
	// RFC 5737, RFC 3849: addresses of the documentation, which no host has.
	for _, text := range []string{"203.0.113.1", "2001:db8::1", "fe80::1%nosuchinterface"} {
		ifi, err := datagram.InterfaceByAddr(netip.MustParseAddr(text))
		if op := (*net.OpError)(nil); ifi != nil || !errors.As(err, &op) || !errors.Is(err, syscall.ENODEV) {
			t.Errorf("the interface of %v is %v, %v; want ENODEV", text, ifi, err)
		}
	}
}

func TestGroupErrors(t *testing.T) {
	testenv.NeedIPv6(t)
	lo := conntest.LoopbackInterface(t)
	for _, test := range []struct{ network, group, other string }{
		{"udp4", "239.255.7.7", "239.255.7.8"}, {"udp6", "ff02::7:7", "ff02::7:8"}, {"udp", "239.255.7.7", "ff02::7:7"},
	} {
		group, other := netip.MustParseAddr(test.group), netip.MustParseAddr(test.other)
		c := conntest.Listen(t, test.network, ":0")
		shape := func(op string, of netip.Addr, errno error) conntest.OpError {
			return conntest.OpError{Op: op, Network: test.network, Source: c.LocalAddr(), Addr: netip.AddrPortFrom(of, 0), Is: errno}
		}
		conntest.CheckOpError(t, c.LeaveGroup(group, lo), shape("leave", group, syscall.EADDRNOTAVAIL))
		if err := c.JoinGroup(group, lo); err != nil {
			t.Fatal(err)
		}
		conntest.CheckOpError(t, c.JoinGroup(group, lo), shape("join", group, syscall.EADDRINUSE))
		conntest.CheckOpError(t, c.LeaveGroup(other, lo), shape("leave", other, syscall.EADDRNOTAVAIL))
		if err := c.LeaveGroup(group, lo); err != nil {
			t.Fatal(err)
		}
		conntest.CheckOpError(t, c.LeaveGroup(group, lo), shape("leave", group, syscall.EADDRNOTAVAIL))
	}
}

// No system is asked about what cannot be: the handle stays without a socket.
func TestGroupsThatAreNone(t *testing.T) {
	group4, group6 := netip.MustParseAddr("239.255.7.7"), netip.MustParseAddr("ff02::7:7")
	bound := conntest.Loopback(t)
	for _, c := range []*datagram.Conn{conntest.New(t), bound} {
		before := conntest.StateOf(c)
		check := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, syscall.EINVAL) {
				t.Errorf("%s: %v, want EINVAL", what, err)
			}
			conntest.CheckErrno(t, err, syscall.EINVAL)
			conntest.CheckUnchanged(t, c, before)
		}
		for _, none := range []netip.Addr{{}, conntest.Localhost4, conntest.Localhost6, netip.IPv4Unspecified(), netip.MustParseAddr("255.255.255.255")} {
			check("join "+none.String(), c.JoinGroup(none, nil))
			check("leave "+none.String(), c.LeaveGroup(none, nil))
			check("join source "+none.String(), c.JoinSourceGroup(none, conntest.Localhost4, nil))
			check("leave source "+none.String(), c.LeaveSourceGroup(none, conntest.Localhost4, nil))
		}
		for _, pair := range [][2]netip.Addr{{group4, {}}, {group4, conntest.Localhost6}, {group6, conntest.Localhost4}, {group6, {}}} {
			check("join source of another family", c.JoinSourceGroup(pair[0], pair[1], nil))
			check("leave source of another family", c.LeaveSourceGroup(pair[0], pair[1], nil))
		}
	}
}

// An interface without an index is none.
func TestInterfaceWithoutIndex(t *testing.T) {
	c := conntest.Loopback(t)
	conntest.CheckErrno(t, c.SetMulticastInterface(&net.Interface{}), syscall.EINVAL)
	conntest.CheckErrno(t, c.JoinGroup(netip.MustParseAddr("239.255.7.7"), &net.Interface{}), syscall.EINVAL)
}

func TestMulticastInterfaceUnset(t *testing.T) {
	for _, c := range []*datagram.Conn{conntest.New(t), conntest.Loopback(t)} {
		check := func(want string) {
			t.Helper()
			ifi, err := c.MulticastInterface()
			name := ""
			if ifi != nil {
				name = ifi.Name
			}
			if err != nil || name != want {
				t.Errorf("the interface is %q, %v; want %q", name, err, want)
			}
		}
		check("")
		lo := conntest.LoopbackInterface(t)
		if err := c.SetMulticastInterface(lo); err != nil {
			t.Fatal(err)
		}
		check(lo.Name)
		if err := c.SetMulticastInterface(nil); err != nil {
			t.Fatal(err)
		}
		check("")
	}
}
