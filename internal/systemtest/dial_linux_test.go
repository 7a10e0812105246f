package systemtest_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/testenv"
)

// named is a network with one name, whose addresses a resolver gives in this order.
type named struct {
	socket.Network
	addrs []netip.Addr
}

func (n named) LookupNetIP(_ context.Context, network, _ string) ([]netip.Addr, error) {
	return slices.DeleteFunc(slices.Clone(n.addrs), func(addr netip.Addr) bool {
		return network == "ip4" && !addr.Is4() || network == "ip6" && !addr.Is6()
	}), nil
}

func withName(addrs ...string) datagram.Option {
	list := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		list[i] = netip.MustParseAddr(addr)
	}
	return hook.WrapNetwork(func(n socket.Network) socket.Network { return named{n, list} }).(datagram.Option)
}

// dialName dials the name in a namespace.
func dialName(t *testing.T, n *netns.Namespace, network string, opts ...datagram.Option) (c *datagram.Conn, err error) {
	t.Helper()
	n.Do(func() { c, err = datagram.Dial(t.Context(), network, "a.name:9", opts...) })
	if err == nil {
		conntest.CloseAtEnd(t, c)
	}
	return c, err
}

func TestDialTriesAllAddresses(t *testing.T) {
	const (
		far4, far6 = "192.0.2.1", "2001:db8::1" // no namespace has a route to them
		own4, own6 = "127.0.0.1", "::1"
	)
	both, without4, without6 := netns.New(t), netns.New(t), netns.New(t)
	without4.IP("address delete 127.0.0.1/8 dev lo")
	without6.Sysctl("net/ipv6/conf/all/disable_ipv6", "1")
	for _, test := range []struct {
		name    string
		in      *netns.Namespace
		network string
		addrs   []string
		want    string
	}{
		{"the resolver's first", both, "udp", []string{own6, own4}, own6},
		{"the resolver's first", both, "udp", []string{own4, own6}, own4},
		{"no route to IPv6", both, "udp", []string{far6, own4}, own4},
		{"no route to IPv4", both, "udp", []string{far4, own6}, own6},
		{"no route within a family", both, "udp", []string{far4, far6, "127.0.0.2"}, "127.0.0.2"},
		{"no route within IPv4", both, "udp4", []string{own6, far4, "127.0.0.2"}, "127.0.0.2"},
		{"no route within IPv6", both, "udp6", []string{own4, far6, own6}, own6},
		{"host without IPv4", without4, "udp", []string{own4, own6}, own6},
		{"host without IPv6", without6, "udp", []string{own6, own4}, own4},
		{"a mapped address", both, "udp", []string{far6, "::ffff:127.0.0.1"}, own4},
	} {
		t.Run(test.name+" "+test.network+" "+strings.Join(test.addrs, " "), func(t *testing.T) {
			descriptors := openDescriptors(t)
			c, err := dialName(t, test.in, test.network, withName(test.addrs...))
			if err != nil {
				t.Fatal(err)
			}
			if want := netip.AddrPortFrom(netip.MustParseAddr(test.want), 9); c.RemoteAddr() != want {
				t.Errorf("the peer is %v, want %v", c.RemoteAddr(), want)
			}
			if c.LocalAddr().Addr().Is4() != c.RemoteAddr().Addr().Is4() || !c.LocalAddr().IsValid() {
				t.Errorf("bound to %v", c.LocalAddr())
			}
			c.Close()
			if now := openDescriptors(t); now != descriptors {
				t.Errorf("%d descriptors are open, before it were %d", now, descriptors)
			}
		})
	}
}

// The error names every address that was tried, and matches what was wrong with each.
func TestDialReachesNoAddress(t *testing.T) {
	n := netns.New(t)
	n.IP("route add prohibit 198.51.100.0/24")
	descriptors := openDescriptors(t)
	_, err := dialName(t, n, "udp", withName("2001:db8::1", "192.0.2.1", "198.51.100.1"))
	for _, want := range []error{syscall.ENETUNREACH, syscall.EACCES} {
		conntest.CheckOpError(t, err, conntest.OpError{Op: "dial", Network: "udp", Is: want, Text: "a.name:9"})
	}
	for _, addr := range []string{"[2001:db8::1]:9", "192.0.2.1:9", "198.51.100.1:9"} {
		if !strings.Contains(err.Error(), addr) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q does not name %s in one line", err, addr)
		}
	}
	// One address alone is named as that of any other error.
	for _, network := range []string{"udp4", "udp6"} {
		addr := map[string]string{"udp4": "192.0.2.1", "udp6": "2001:db8::1"}[network]
		_, err = dialName(t, n, network, withName("192.0.2.1", "2001:db8::1"))
		conntest.CheckOpError(t, err, conntest.OpError{
			Op: "dial", Network: network, Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 9), Is: syscall.ENETUNREACH,
		})
	}
	if now := openDescriptors(t); now != descriptors {
		t.Errorf("%d descriptors are open, before it were %d", now, descriptors)
	}
}

// A context that ends while addresses are tried ends that.
func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	tries := 0
	_, err := datagram.Dial(ctx, "udp", "a.name:9", withName("127.0.0.1", "127.0.0.2", "127.0.0.3"),
		datagram.WithControl(func(string, string, syscall.RawConn) error {
			if tries++; tries == 2 {
				cancel()
			}
			return errors.New("not this one")
		}))
	if err != context.Canceled || tries != 2 {
		t.Errorf("after %d tries: %v, want %v after 2", tries, err, context.Canceled)
	}
}

// What an address cannot have does not keep the next from being tried.
func TestDialWithOptionOfOneFamily(t *testing.T) {
	testenv.NeedIPv6(t)
	c, err := datagram.Dial(t.Context(), "udp", "a.name:9", withName("127.0.0.1", "::1"), datagram.WithIPv6Only())
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, c)
	if c.RemoteAddr().Addr() != conntest.Localhost6 {
		t.Errorf("the peer is %v", c.RemoteAddr())
	}
}

// Listen takes one address of a name, as net.ListenPacket does.
func TestListenOnName(t *testing.T) {
	testenv.NeedIPv6(t)
	name := withName("::1", "127.0.0.1")
	for network, want := range map[string]netip.Addr{"udp": conntest.Localhost4, "udp4": conntest.Localhost4, "udp6": conntest.Localhost6} {
		if c := conntest.Listen(t, network, "a.name:0", name); c.LocalAddr().Addr() != want {
			t.Errorf("%s: bound to %v, want %v", network, c.LocalAddr(), want)
		}
	}
}
