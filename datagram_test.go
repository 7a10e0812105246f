package datagram_test

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"example.com/datagram"
)

func TestTo(t *testing.T) {
	to := netip.MustParseAddrPort("[fe80::1%lo]:9")
	payload := []byte("x")
	d := datagram.To(to, payload)
	if d.Addr != to || &d.Payload[0] != &payload[0] || d.Partial || d.Meta != (datagram.Metadata{}) {
		t.Errorf("To made %+v", d)
	}
	if udp, ok := d.NetAddr().(*net.UDPAddr); !ok || udp.AddrPort() != to {
		t.Errorf("its net.Addr is %v", d.NetAddr())
	}
	if addr := (datagram.Datagram{}).NetAddr(); addr != nil {
		t.Errorf("the net.Addr of none is %v", addr)
	}
}

// textAddr is a net.Addr of a type that nobody knows.
type textAddr struct{ network, text string }

func (a textAddr) Network() string { return a.network }
func (a textAddr) String() string  { return a.text }

func TestToNet(t *testing.T) {
	zoned := &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 9}
	for _, test := range []struct {
		name string
		addr net.Addr
		want netip.AddrPort
		back string // of NetAddr, "" for none
	}{
		{"nil", nil, netip.AddrPort{}, ""},
		{"typed nil UDP", (*net.UDPAddr)(nil), netip.AddrPort{}, ""},
		{"typed nil IP", (*net.IPAddr)(nil), netip.AddrPort{}, ""},
		{"typed nil Unix", (*net.UnixAddr)(nil), netip.AddrPort{}, ""},
		{"empty UDP", &net.UDPAddr{}, netip.AddrPort{}, ""},
		{"empty IP", &net.IPAddr{}, netip.AddrPort{}, ""},
		{"UDP", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, netip.MustParseAddrPort("127.0.0.1:9"), "127.0.0.1:9"},
		{"UDP with a zone", zoned, netip.MustParseAddrPort("[fe80::1%lo]:9"), "[fe80::1%lo]:9"},
		{"IP", &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}, netip.MustParseAddrPort("127.0.0.1:0"), "127.0.0.1:0"},
		{"Unix", &net.UnixAddr{Name: "/tmp/x", Net: "unixgram"}, netip.AddrPort{}, "/tmp/x"},
		{"raw", datagram.RawAddr{Sockaddr: []byte{1, 2}}, netip.AddrPort{}, "0102"},
		{"foreign UDP", textAddr{"udp4", "127.0.0.1:9"}, netip.MustParseAddrPort("127.0.0.1:9"), "127.0.0.1:9"},
		{"foreign", textAddr{"pigeon", "loft"}, netip.AddrPort{}, "loft"},
	} {
		d := datagram.ToNet(test.addr, []byte("x"))
		back := ""
		if addr := d.NetAddr(); addr != nil {
			back = addr.String()
		}
		if d.Addr != test.want || back != test.back || string(d.Payload) != "x" {
			t.Errorf("%s: Addr %v, NetAddr %q; want %v, %q", test.name, d.Addr, back, test.want, test.back)
		}
	}
}

func TestToNetSends(t *testing.T) {
	server := boundConn(t, "udp4", "127.0.0.1:0")
	client := lazyConn(t)
	mustSend(t, client, datagram.ToNet(net.UDPAddrFromAddrPort(server.LocalAddr()), []byte("ask")))
	d := awaitPayload(t, server, "ask")
	mustSend(t, server, datagram.ToNet(d.NetAddr(), []byte("answer")))
	awaitPayload(t, client, "answer")

	for _, addr := range []net.Addr{nil, (*net.UDPAddr)(nil), (*net.UnixAddr)(nil), &net.UDPAddr{}} {
		_, err := server.TrySend(datagram.ToNet(addr, nil))
		checkErrno(t, err, syscall.EDESTADDRREQ)
	}
	// An address that a socket cannot have is refused and named.
	for _, addr := range []net.Addr{
		textAddr{"pigeon", "loft"},
		&net.UnixAddr{Name: "/tmp/x", Net: "unixgram"},
		&net.UDPAddr{IP: net.IP{1, 2, 3}, Port: 9}, &net.UDPAddr{IP: net.IP{127, 0, 0, 1}, Port: 1<<16 + 9},
	} {
		_, err := server.TrySend(datagram.ToNet(addr, []byte("x")))
		op, ok := err.(*net.OpError)
		if !ok || op.Op != "write" || op.Addr == nil || op.Addr.String() != addr.String() {
			t.Errorf("sending UDP to %v: %v", addr, err)
		}
	}
}

func TestCloneOwnsItsMemory(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	mustSend(t, c, datagram.To(c.LocalAddr(), []byte("keep")))
	d := awaitPayload(t, c, "keep")
	clone := d.Clone()
	d.Payload[0] = 'X'
	d.Release()
	clone.Release()
	for range 100 {
		mustSend(t, c, datagram.To(c.LocalAddr(), []byte("over")))
		awaitPayload(t, c, "over").Release()
	}
	if string(clone.Payload) != "keep" || clone.Addr != d.Addr || clone.Meta != d.Meta {
		t.Errorf("the clone is %q from %v", clone.Payload, clone.Addr)
	}
}

func TestReplyComesFromTheAddressAsked(t *testing.T) {
	server := boundConn(t, "udp4", ":0")
	client := boundConn(t, "udp4", "127.0.0.1:0")
	// All of 127.0.0.0/8 is this host.
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.7"), server.LocalAddr().Port())
	mustSend(t, client, datagram.To(asked, []byte("ask")))
	d := awaitPayload(t, server, "ask")
	if reply := d.Reply(nil); reply.Meta.Local != asked.Addr() || reply.Addr != client.LocalAddr() {
		t.Errorf("the reply goes from %v to %v", reply.Meta.Local, reply.Addr)
	}
	mustSend(t, server, d.Reply([]byte("answer")))
	if d := awaitPayload(t, client, "answer"); d.Addr != asked {
		t.Errorf("the answer came from %v, asked was %v", d.Addr, asked)
	}
}

// RFC 3168 section 5.
func TestECN(t *testing.T) {
	for tc, want := range map[uint8]datagram.ECN{
		0: datagram.NotECT, 1: datagram.ECT1, 2: datagram.ECT0, 3: datagram.CE, 0xb8 | 2: datagram.ECT0, 0xff: datagram.CE,
	} {
		if got := (datagram.Metadata{TrafficClass: tc}).ECN(); got != want {
			t.Errorf("the ECN of %#x is %d, want %d", tc, got, want)
		}
	}
	if datagram.NotECT != 0 || datagram.ECT1 != 1 || datagram.ECT0 != 2 || datagram.CE != 3 {
		t.Error("the constants are not what is on the wire")
	}
}

func TestResolve(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"udp", "127.0.0.1:9", "127.0.0.1:9"},
		{"udp4", "127.0.0.1:0", "127.0.0.1:0"},
		{"udp", "[::1]:9", "[::1]:9"},
		{"udp6", "[fe80::1%lo]:9", "[fe80::1%lo]:9"},
		{"udp", "[::ffff:192.0.2.1]:9", "192.0.2.1:9"},
		{"udp", ":53", "0.0.0.0:53"},
		{"udp4", ":53", "0.0.0.0:53"},
		{"udp6", ":53", "[::]:53"},
		{"udp", "127.0.0.1:domain", "127.0.0.1:53"},
		{"udp4", "localhost:53", "127.0.0.1:53"},
	} {
		got, err := datagram.Resolve(t.Context(), test.network, test.address)
		if err != nil || got.String() != test.want {
			t.Errorf("%s %s is %v, %v; want %s", test.network, test.address, got, err, test.want)
		}
	}
	got, err := datagram.Resolve(t.Context(), "udp", "127.0.0.1:no such service")
	checkOpError(t, err, opShape{op: "resolve", network: "udp", text: "no such service"})
	if got.IsValid() {
		t.Errorf("an address beside the error: %v", got)
	}
}

func TestInterfaceOfAddress(t *testing.T) {
	lo := loopbackInterface(t)
	if lo == nil || lo.Flags&net.FlagLoopback == 0 {
		t.Fatalf("the interface of %v is %v", loopback4, lo)
	}
	for _, addr := range []netip.Addr{
		netip.AddrFrom16(loopback4.As16()), netip.IPv6Unspecified().WithZone(lo.Name), netip.MustParseAddr("fe80::1").WithZone(lo.Name),
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

// An address without a host is what package net makes of ":port": this host.
func TestToNetWithoutHost(t *testing.T) {
	peer := boundConn(t, "udp4", "127.0.0.1:0")
	c := boundConn(t, "udp4", ":0")
	mustSend(t, c, datagram.ToNet(&net.UDPAddr{Port: int(peer.LocalAddr().Port())}, []byte("x")))
	awaitPayload(t, peer, "x")
}
