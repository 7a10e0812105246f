package systemtest_test

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
)

// linkDump is a request for all interfaces (rtnetlink(7)).
func linkDump(sequence uint32) []byte {
	b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(b[8:], sequence)
	return b
}

// linkNames adds the names of the interfaces that netlink messages tell of, and
// says whether the last message of a dump is among them.
func linkNames(t *testing.T, b []byte, sequence uint32, names map[string]bool) (done bool) {
	t.Helper()
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Seq != sequence {
			t.Errorf("message of sequence %d, want %d", m.Header.Seq, sequence)
		}
		switch m.Header.Type {
		case unix.NLMSG_DONE:
			return true
		case unix.RTM_NEWLINK:
			attributes, err := syscall.ParseNetlinkRouteAttr(m)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range attributes {
				if a.Attr.Type == unix.IFLA_IFNAME {
					names[strings.TrimRight(string(a.Value), "\x00")] = true
				}
			}
		default:
			t.Fatalf("message of type %d", m.Header.Type)
		}
	}
	return false
}

func TestNetlinkDump(t *testing.T) {
	l := newLAN(t)
	c := conntest.Open(t, newSocket(t, l.near, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE))
	kernel := datagram.RawAddr{Sockaddr: make([]byte, unix.SizeofSockaddrNetlink)}
	binary.NativeEndian.PutUint16(kernel.Sockaddr, unix.AF_NETLINK)
	// The kernel is where datagrams go that have no destination, and an address too.
	for i, request := range []datagram.Datagram{conntest.ToPeer(string(linkDump(0))), datagram.ToNet(kernel, linkDump(1))} {
		conntest.Send(t, c, request)
		names := map[string]bool{}
		for done := false; !done; {
			d := conntest.Next(t, c)
			if from, ok := d.NetAddr().(datagram.RawAddr); !ok || string(from.Sockaddr) != string(kernel.Sockaddr) {
				t.Fatalf("received from %v, want the kernel", d.NetAddr())
			}
			if d.Addr.IsValid() || d.Partial {
				t.Errorf("address %v, partial %v", d.Addr, d.Partial)
			}
			done = linkNames(t, d.Payload, uint32(i), names)
		}
		if got, want := slices.Sorted(maps.Keys(names)), []string{l.nearEnd.Name, "lo"}; !slices.Equal(got, want) {
			t.Errorf("the interfaces are %v, want %v", got, want)
		}
	}
}

// What nobody asked for comes from the kernel too.
func TestNetlinkNotification(t *testing.T) {
	l := newLAN(t)
	file := newSocket(t, l.near, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	conntest.OnFile(t, file, func(fd int) error {
		return unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	})
	c := conntest.Open(t, file)
	l.near.IP("link set %s mtu 1400", l.nearEnd.Name)
	names := map[string]bool{}
	linkNames(t, conntest.Next(t, c).Payload, 0, names)
	if !names[l.nearEnd.Name] {
		t.Errorf("told of %v, want %s", names, l.nearEnd.Name)
	}
}

// What the family cannot do is an error that says so.
func TestNetlinkUnsupported(t *testing.T) {
	l := newLAN(t)
	file := newSocket(t, l.near, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	c := conntest.Open(t, file)
	_, ttl := c.TTL()
	_, multicastTTL := c.MulticastTTL()
	_, loopback := c.MulticastLoopback()
	for name, err := range map[string]error{
		"SetTTL":               c.SetTTL(3),
		"TTL":                  ttl,
		"SetMulticastTTL":      c.SetMulticastTTL(3),
		"MulticastTTL":         multicastTTL,
		"SetMulticastLoopback": c.SetMulticastLoopback(true),
		"MulticastLoopback":    loopback,
		"JoinGroup":            c.JoinGroup(families[0].group, nil),
		"Connect":              c.Connect(netip.AddrPortFrom(families[0].far, 1)),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	for name, option := range map[string]datagram.Option{
		"TTL":           datagram.WithTTL(3),
		"traffic class": datagram.WithTrafficClass(4),
		"hop limit":     datagram.WithMetadata(datagram.MetaHopLimit),
	} {
		if c, err := datagram.Open(file, option); c != nil || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), name) {
			t.Errorf("with the option %q: %v, want ErrUnsupported and the name", name, err)
		}
	}
	// What every socket has works.
	if err := c.SetReadBuffer(100_000); err != nil {
		t.Error(err)
	}
	if n, err := c.ReadBuffer(); n < 100_000 || err != nil {
		t.Errorf("the read buffer is %d, %v", n, err)
	}
	// An Internet address is of another family.
	if err := conntest.Outcome(t, c, datagram.To(netip.AddrPortFrom(families[0].far, 1), []byte("x"))); err == nil {
		t.Error("sending to an Internet address succeeded")
	}
}
