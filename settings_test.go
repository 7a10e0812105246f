package datagram_test

import (
	"math"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// A settingCase is a setting by its setter, its option and its getter.
type settingCase struct {
	name   string
	set    func(*datagram.Conn, int) error
	option func(int) datagram.Option
	get    func(*datagram.Conn) (int, error)
	valid  []int // the first is another than the system's default
	bad    []int
	// rounded says that the system makes something else of the value.
	rounded bool
}

func settingCases() []settingCase {
	onOff := func(set func(bool) error) func(int) error {
		return func(v int) error { return set(v != 0) }
	}
	ttlErrors := []int{0, -1, 256, math.MaxInt, math.MinInt}
	sizeErrors := []int{-1, math.MinInt}
	if math.MaxInt > math.MaxInt32 {
		sizeErrors = append(sizeErrors, math.MaxInt) // no system's type holds it
	}
	return []settingCase{
		{
			"TTL", (*datagram.Conn).SetTTL, datagram.WithTTL, (*datagram.Conn).TTL,
			[]int{9, 1, 255},
			ttlErrors, false,
		},
		{
			"multicast TTL", (*datagram.Conn).SetMulticastTTL, datagram.WithMulticastTTL, (*datagram.Conn).MulticastTTL,
			[]int{9, 1, 255},
			ttlErrors, false,
		},
		{
			"multicast loopback",
			func(c *datagram.Conn, v int) error { return onOff(c.SetMulticastLoopback)(v) },
			func(v int) datagram.Option { return datagram.WithMulticastLoopback(v != 0) },
			func(c *datagram.Conn) (int, error) {
				on, err := c.MulticastLoopback()
				if on {
					return 1, err
				}
				return 0, err
			},
			[]int{0, 1},
			nil, false,
		},
		{
			"read buffer", (*datagram.Conn).SetReadBuffer, datagram.WithReadBuffer, (*datagram.Conn).ReadBuffer,
			[]int{40000, 20000},
			sizeErrors, true,
		},
		{
			"write buffer", (*datagram.Conn).SetWriteBuffer, datagram.WithWriteBuffer, (*datagram.Conn).WriteBuffer,
			[]int{40000, 20000},
			sizeErrors, true,
		},
	}
}

// is says whether a setting has a value.
func (s settingCase) is(got, want int) bool {
	return got == want || s.rounded && (got >= want && got <= 2*want)
}

func TestSettingsBeforeTheSocket(t *testing.T) {
	for _, s := range settingCases() {
		t.Run(s.name, func(t *testing.T) {
			c := conntest.New(t)
			_, err := s.get(c)
			conntest.CheckOpError(t, err, conntest.OpError{Op: "get", Network: "udp", Is: syscall.EBADF, Text: s.name})
			for _, v := range s.valid {
				if err := s.set(c, v); err != nil {
					t.Fatal(err)
				}
				if got, err := s.get(c); err != nil || got != v {
					t.Errorf("set to %d it reads %d, %v", v, got, err)
				}
			}
			if err := s.set(c, s.valid[0]); err != nil {
				t.Fatal(err)
			}
			if c.LocalAddr().IsValid() {
				t.Errorf("the setter bound %v", c.LocalAddr())
			}
			if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			if got, err := s.get(c); err != nil || !s.is(got, s.valid[0]) {
				t.Errorf("the socket has %d, %v; want %d", got, err, s.valid[0])
			}
		})
	}
}

func TestSettingsByOption(t *testing.T) {
	for _, s := range settingCases() {
		for _, v := range s.valid {
			// Of options given twice the later wins.
			c := conntest.New(t, s.option(s.valid[len(s.valid)-1]), s.option(v))
			if got, err := s.get(c); err != nil || got != v {
				t.Errorf("%s: asked for %d it reads %d, %v", s.name, v, got, err)
			}
			c = conntest.Loopback(t, s.option(s.valid[len(s.valid)-1]), s.option(v))
			if got, err := s.get(c); err != nil || !s.is(got, v) {
				t.Errorf("%s: asked for %d the socket has %d, %v", s.name, v, got, err)
			}
		}
	}
}

func TestSettingsOnASocket(t *testing.T) {
	testenv.NeedIPv6(t)
	for _, network := range []string{"udp4", "udp6", "udp"} {
		c := conntest.Listen(t, network, ":0")
		for _, s := range settingCases() {
			for _, v := range s.valid {
				if err := s.set(c, v); err != nil {
					t.Fatalf("%s: %s %d: %v", network, s.name, v, err)
				}
				if got, err := s.get(c); err != nil || !s.is(got, v) {
					t.Errorf("%s: %s set to %d reads %d, %v", network, s.name, v, got, err)
				}
			}
		}
	}
}

func TestSettingsOutOfRange(t *testing.T) {
	lazy, bound := conntest.New(t), conntest.Loopback(t)
	for _, s := range settingCases() {
		for _, c := range []*datagram.Conn{lazy, bound} {
			if err := s.set(c, s.valid[0]); err != nil {
				t.Fatal(err)
			}
			network := "udp"
			if c == bound {
				network = "udp4"
			}
			for _, v := range s.bad {
				before := conntest.StateOf(c)
				conntest.CheckOpError(t, s.set(c, v), conntest.OpError{
					Op: "set", Network: network, Source: before.Local, Is: syscall.EINVAL, Text: s.name,
				})
				conntest.CheckUnchanged(t, c, before)
			}
		}
		for _, v := range s.bad {
			_, err := datagram.New(s.option(v))
			conntest.CheckOpError(t, err, conntest.OpError{Op: "new", Network: "udp", Is: syscall.EINVAL, Text: s.name})
		}
	}
}

// Any call that makes the socket meets what the system does not accept.
func TestSettingRefusedByTheSystem(t *testing.T) {
	sink := conntest.Loopback(t)
	const name = "multicast interface"
	uses := append([]firstUse{
		{"Bind", func(t *testing.T, c *datagram.Conn, _ netip.AddrPort) error {
			return c.Bind(t.Context(), "udp4", "127.0.0.1:0")
		}},
		{"Connect", func(_ *testing.T, c *datagram.Conn, to netip.AddrPort) error { return c.Connect(to) }},
		{"Recv", func(t *testing.T, c *datagram.Conn, _ netip.AddrPort) error {
			await.Closed(t, "what cannot receive", c.Recv())
			return c.Err()
		}},
		{"Serve", func(t *testing.T, c *datagram.Conn, _ netip.AddrPort) error {
			return c.Serve(t.Context(), func(datagram.Datagram) {})
		}},
		{"JoinGroup", func(_ *testing.T, c *datagram.Conn, _ netip.AddrPort) error {
			return c.JoinGroup(netip.MustParseAddr("239.255.7.7"), nil)
		}},
	}, sendUses...)
	for _, use := range uses {
		t.Run(use.name, func(t *testing.T) {
			c := conntest.New(t)
			if err := c.SetMulticastInterface(conntest.NoInterface); err != nil {
				t.Fatal(err)
			}
			err := use.use(t, c, sink.LocalAddr())
			if err == nil {
				t.Fatal("the interface does not exist")
			}
			op, ok := err.(*net.OpError)
			if !ok || op.Op != "listen" || !strings.Contains(err.Error(), name) {
				t.Errorf("%T, %v: want the *net.OpError of a listen that names the %s", err, err, name)
			}
			if c.LocalAddr().IsValid() || c.Active() {
				t.Errorf("the handle has become %v, active %v", c.LocalAddr(), c.Active())
			}
			// What was asked for can be taken back.
			if err := c.SetMulticastInterface(nil); err != nil {
				t.Fatal(err)
			}
			if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
				t.Errorf("with the setting taken back: %v", err)
			}
		})
	}
	t.Run("Listen", func(t *testing.T) {
		_, err := datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", datagram.WithMulticastInterface(conntest.NoInterface))
		conntest.CheckOpError(t, err, conntest.OpError{
			Op: "listen", Network: "udp4", Addr: netip.MustParseAddrPort("127.0.0.1:0"), Text: name,
		})
	})
	t.Run("Dial", func(t *testing.T) {
		_, err := datagram.Dial(t.Context(), "udp4", sink.LocalAddr().String(), datagram.WithMulticastInterface(conntest.NoInterface))
		if op, ok := err.(*net.OpError); !ok || op.Net != "udp4" {
			t.Errorf("Dial: %v", err)
		}
	})
}

// A setting that the system refuses is not remembered either.
func TestRefusedSettingIsNotRemembered(t *testing.T) {
	c := conntest.Loopback(t)
	lo := conntest.LoopbackInterface(t)
	if err := c.SetMulticastInterface(lo); err != nil {
		t.Fatal(err)
	}
	before := conntest.StateOf(c)
	err := c.SetMulticastInterface(conntest.NoInterface)
	if err == nil {
		t.Fatal("the interface does not exist")
	}
	conntest.CheckOpError(t, err, conntest.OpError{Op: "set", Network: "udp4", Source: before.Local, Text: "multicast interface"})
	conntest.CheckUnchanged(t, c, before)
	if before.MulticastInterface != lo.Name {
		t.Errorf("the interface is %q, want %q", before.MulticastInterface, lo.Name)
	}
}

func TestNoDescriptorBeforeTheSocket(t *testing.T) {
	c := conntest.New(t)
	_, err := c.SyscallConn()
	conntest.CheckOpError(t, err, conntest.OpError{Op: "raw", Network: "udp", Is: syscall.EBADF})
	_, err = c.File()
	conntest.CheckOpError(t, err, conntest.OpError{Op: "file", Network: "udp", Is: syscall.EBADF})
	if c.LocalAddr() != (netip.AddrPort{}) || c.RemoteAddr() != (netip.AddrPort{}) {
		t.Errorf("addresses %v and %v without a socket", c.LocalAddr(), c.RemoteAddr())
	}
}

func TestData(t *testing.T) {
	c := conntest.New(t, datagram.WithData("earlier"), datagram.WithData("first"))
	if c.Data() != "first" {
		t.Errorf("data is %v", c.Data())
	}
	c.SetData(2)
	c.Close()
	if c.Data() != 2 {
		t.Errorf("after Close data is %v", c.Data())
	}
	c.SetData(nil)
	if c.Data() != nil {
		t.Errorf("data is %v", c.Data())
	}
}
