package systemtest_test

import (
	"net"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// wantMulticastInterface expects the interface as package net describes it in its namespace.
func wantMulticastInterface(t *testing.T, n *netns.Namespace, c *datagram.Conn, want *net.Interface) {
	t.Helper()
	if want != nil {
		want = n.Interface(want.Name) // as it is now
	}
	if ifi, err := c.MulticastInterface(); err != nil || !reflect.DeepEqual(ifi, want) {
		t.Errorf("the interface is %+v, %v; want %+v", ifi, err, want)
	}
}

// A handle is asked from outside of its namespace, where its interfaces do not exist or are others.
func TestMulticastInterfaceOfAnotherNamespace(t *testing.T) {
	l := newTwoLANs(t)
	l.near.IP("link set %s mtu 1280", l.nearEnd[1].Name)
	eachFamily(t, func(t *testing.T, f family) {
		for _, network := range []string{f.network, "udp"} {
			c := listenIn(t, l.near, network, ":0")
			wantMulticastInterface(t, l.near, c, nil)
			for _, ifi := range append(l.nearEnd[:], l.near.Interface("lo"), nil) {
				if err := c.SetMulticastInterface(ifi); err != nil {
					t.Fatal(err)
				}
				wantMulticastInterface(t, l.near, c, ifi)
			}
		}
	})
	l.near.IP("link set %s down", l.nearEnd[0].Name)
	c := listenIn(t, l.near, "udp", ":0", datagram.WithMulticastInterface(l.nearEnd[0]))
	wantMulticastInterface(t, l.near, c, l.nearEnd[0])
	l.near.IP("link set %s name renamed%d", l.nearEnd[0].Name, l.nearEnd[0].Index%1000)
	if ifi, err := c.MulticastInterface(); err != nil || ifi.Index != l.nearEnd[0].Index || ifi.Name == l.nearEnd[0].Name {
		t.Errorf("renamed it is %+v, %v", ifi, err)
	}
	l.near.IP("link delete %s", l.nearEnd[1].Name)
	if err := c.SetMulticastInterface(l.nearEnd[1]); err == nil {
		t.Error("an interface that has gone was set")
	}
}

// A socket that Open got has the interface that was set before, or is set beside the handle.
func TestMulticastInterfaceOfOpenedSocket(t *testing.T) {
	l := newTwoLANs(t)
	l.near.Addresses(l.nearEnd[1], "198.51.100.77/24")
	for name, test := range map[string]struct {
		domain, only int
		set          func(fd int) error
	}{
		"IPv4 by address": {unix.AF_INET, 0, func(fd int) error {
			return unix.SetsockoptInet4Addr(fd, unix.SOL_IP, unix.IP_MULTICAST_IF, [4]byte{198, 51, 100, 77})
		}},
		"IPv6": {unix.AF_INET6, 1, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MULTICAST_IF, l.nearEnd[1].Index)
		}},
		"dual-stack": {unix.AF_INET6, 0, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MULTICAST_IF, l.nearEnd[1].Index)
		}},
		"dual-stack, IPv4 by address": {unix.AF_INET6, 0, func(fd int) error {
			return unix.SetsockoptInet4Addr(fd, unix.SOL_IP, unix.IP_MULTICAST_IF, [4]byte{198, 51, 100, 77})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			file := newSocket(t, l.near, test.domain, unix.SOCK_DGRAM, 0)
			if test.domain == unix.AF_INET6 {
				conntest.OnFile(t, file, func(fd int) error {
					return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, test.only)
				})
			}
			beside := conntest.Open(t, file)
			wantMulticastInterface(t, l.near, beside, nil)
			conntest.OnFile(t, file, test.set)
			wantMulticastInterface(t, l.near, beside, l.nearEnd[1])
			wantMulticastInterface(t, l.near, conntest.Open(t, file), l.nearEnd[1])
			wantMulticastInterface(t, l.near, conntest.Open(t, file, conntest.Portable()), l.nearEnd[1])
		})
	}
}
