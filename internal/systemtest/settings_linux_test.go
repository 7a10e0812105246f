package systemtest_test

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
	"example.com/datagram/internal/testing/testenv"
)

// kernelOption reads an option of the socket itself.
func kernelOption(t *testing.T, c *datagram.Conn, level, option int) (value int) {
	t.Helper()
	conntest.OnFile(t, c, func(fd int) (err error) {
		value, err = unix.GetsockoptInt(fd, level, option)
		return os.NewSyscallError("getsockopt", err)
	})
	return value
}

// The settings of both families, and what each is in the kernel.
var familySettings = []struct {
	name           string
	option4        int
	option6        int
	set            func(*datagram.Conn) error // nil: an option only
	with           datagram.Option
	want, standard int
}{
	{
		"TTL", unix.IP_TTL, unix.IPV6_UNICAST_HOPS,
		func(c *datagram.Conn) error { return c.SetTTL(9) }, datagram.WithTTL(9), 9, 64,
	},
	{
		"multicast TTL", unix.IP_MULTICAST_TTL, unix.IPV6_MULTICAST_HOPS,
		func(c *datagram.Conn) error { return c.SetMulticastTTL(9) }, datagram.WithMulticastTTL(9), 9, 1,
	},
	{
		"multicast loopback", unix.IP_MULTICAST_LOOP, unix.IPV6_MULTICAST_LOOP,
		func(c *datagram.Conn) error { return c.SetMulticastLoopback(false) }, datagram.WithMulticastLoopback(false), 0, 1,
	},
	{"traffic class", unix.IP_TOS, unix.IPV6_TCLASS, nil, datagram.WithTrafficClass(0xb8), 0xb8, 0},
}

func TestSettingsApplyToBothFamilies(t *testing.T) {
	// In a namespace all defaults are the kernel's own.
	netns.New(t).Do(func() { testSettingsOfFamilies(t) })
}

func testSettingsOfFamilies(t *testing.T) {
	t.Helper()
	for _, s := range familySettings {
		for _, test := range []struct {
			network string
			v4, v6  bool
		}{{"udp", true, true}, {"udp4", true, false}, {"udp6", false, true}} {
			check := func(how string, c *datagram.Conn, want int) {
				t.Helper()
				if test.v4 {
					if got := kernelOption(t, c, unix.IPPROTO_IP, s.option4); got != want {
						t.Errorf("%s %s %s: %d for IPv4, want %d", s.name, test.network, how, got, want)
					}
				}
				if test.v6 {
					if got := kernelOption(t, c, unix.IPPROTO_IPV6, s.option6); got != want {
						t.Errorf("%s %s %s: %d for IPv6, want %d", s.name, test.network, how, got, want)
					}
				}
			}
			check("by default", conntest.Listen(t, test.network, ":0"), s.standard)
			check("by option", conntest.Listen(t, test.network, ":0", s.with), s.want)
			if s.set == nil {
				continue
			}
			c := conntest.New(t)
			if err := s.set(c); err != nil {
				t.Fatal(err)
			}
			if err := c.Bind(t.Context(), test.network, ":0"); err != nil {
				t.Fatal(err)
			}
			check("set before", c, s.want)
			c = conntest.Listen(t, test.network, ":0")
			if err := s.set(c); err != nil {
				t.Fatal(err)
			}
			check("set after", c, s.want)
		}
	}
}

func TestMulticastInterfaceAppliesToBothFamilies(t *testing.T) {
	testenv.NeedIPv6(t)
	lo := conntest.LoopbackInterface(t)
	c := conntest.Listen(t, "udp", ":0", datagram.WithMulticastInterface(lo))
	if got := kernelOption(t, c, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF); got != lo.Index {
		t.Errorf("IPv6 datagrams leave by %d, want %d", got, lo.Index)
	}
	// The kernel does not tell what it was given for IPv4, but does it.
	member := conntest.Listen(t, "udp4", ":0")
	group := netip.MustParseAddr("239.255.7.7")
	if err := member.JoinGroup(group, lo); err != nil {
		t.Fatal(err)
	}
	conntest.TrySend(t, c, datagram.To(netip.AddrPortFrom(group, member.LocalAddr().Port()), []byte("by lo")))
	conntest.Expect(t, member, "by lo")
}

func TestBroadcastIsOffUntilAskedFor(t *testing.T) {
	receiver := conntest.Listen(t, "udp4", ":0")
	// Every address of 127.0.0.0/8 is the host's; its last is a broadcast.
	to := netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), receiver.LocalAddr().Port())
	try := func(c *datagram.Conn, allowed bool) {
		t.Helper()
		if _, err := c.TrySend(datagram.To(to, []byte("all"))); !allowed {
			conntest.CheckOpError(t, err, conntest.OpError{Op: "write", Network: "udp4", Source: c.LocalAddr(), Addr: to, Is: syscall.EACCES})
			return
		} else if err != nil {
			t.Errorf("broadcast that is on: %v", err)
			return
		}
		conntest.Expect(t, receiver, "all")
	}
	fresh := conntest.New(t)
	if _, err := fresh.TrySend(datagram.To(to, nil)); err == nil {
		t.Error("a handle bound by its first use may broadcast")
	}
	c := conntest.Listen(t, "udp4", ":0")
	try(c, false)
	if err := c.SetBroadcast(true); err != nil {
		t.Fatal(err)
	}
	try(c, true)
	if err := c.SetBroadcast(false); err != nil {
		t.Fatal(err)
	}
	try(c, false)
	try(conntest.Listen(t, "udp4", ":0", datagram.WithBroadcast()), true)
	early := conntest.New(t)
	if err := early.SetBroadcast(true); err != nil {
		t.Fatal(err)
	}
	if err := early.Bind(t.Context(), "udp4", ":0"); err != nil {
		t.Fatal(err)
	}
	try(early, true)
}

func TestBindFlags(t *testing.T) {
	for _, test := range []struct {
		name   string
		opt    datagram.Option
		option int
	}{
		{"reuse address", datagram.WithReuseAddr(), unix.SO_REUSEADDR},
		{"reuse port", datagram.WithReusePort(), unix.SO_REUSEPORT},
	} {
		first := conntest.Loopback(t, test.opt)
		if kernelOption(t, first, unix.SOL_SOCKET, test.option) != 1 {
			t.Errorf("%s: not set", test.name)
		}
		conntest.Listen(t, "udp4", first.LocalAddr().String(), test.opt)
		_, err := datagram.Listen(t.Context(), "udp4", first.LocalAddr().String())
		conntest.CheckErrno(t, err, syscall.EADDRINUSE)
	}
	for _, option := range []int{unix.SO_REUSEADDR, unix.SO_REUSEPORT, unix.SO_BROADCAST} {
		if kernelOption(t, conntest.Loopback(t), unix.SOL_SOCKET, option) != 0 {
			t.Errorf("option %d is set without being asked for", option)
		}
	}
}

func TestWithInterfaceSetting(t *testing.T) {
	c, err := datagram.Listen(t.Context(), "udp4", ":0", datagram.WithInterface("lo"))
	if err != nil {
		testenv.Skip(t, "binding to a device: "+err.Error())
	}
	conntest.CloseAtEnd(t, c)
	conntest.TrySend(t, c, datagram.To(conntest.Reachable(c), []byte("here")))
	conntest.Expect(t, c, "here")
	_, err = datagram.Listen(t.Context(), "udp4", ":0", datagram.WithInterface("no such device"))
	conntest.CheckErrno(t, err, syscall.ENODEV)
	if err != nil && !strings.Contains(err.Error(), "interface no such device") {
		t.Errorf("%v does not name the setting", err)
	}
}

// The function sees the socket with its settings and before it is bound.
func TestControlRunsBeforeBind(t *testing.T) {
	refuse := syscall.EPERM
	for _, fail := range []bool{false, true} {
		called := 0
		c, err := datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", datagram.WithTTL(9),
			datagram.WithControl(func(network, address string, raw syscall.RawConn) error {
				called++
				if network != "udp4" || address != "127.0.0.1:0" {
					t.Errorf("called with %s %s", network, address)
				}
				err := raw.Control(func(fd uintptr) {
					if ttl, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL); err != nil || ttl != 9 {
						t.Errorf("its TTL is %d, %v", ttl, err)
					}
					if sa, err := unix.Getsockname(int(fd)); err != nil || sa.(*unix.SockaddrInet4).Port != 0 {
						t.Errorf("it is bound to %v, %v", sa, err)
					}
				})
				if fail {
					return refuse
				}
				return err
			}))
		if called != 1 {
			t.Errorf("called %d times", called)
		}
		if fail {
			conntest.CheckErrno(t, err, refuse)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		conntest.CloseAtEnd(t, c)
	}
}
