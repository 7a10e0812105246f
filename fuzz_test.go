package datagram_test

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
)

// FuzzToNet converts addresses of package net, sound and broken ones, to destinations and back.
func FuzzToNet(f *testing.F) {
	for _, ip := range []string{"", "127.0.0.1", "::1", "fe80::1", "::ffff:192.0.2.1", "0.0.0.0"} {
		for _, zone := range []string{"", "lo", "77", "a%b"} {
			f.Add([]byte(net.ParseIP(ip)), zone, 9)
		}
	}
	f.Add([]byte{127, 0, 0, 1}, "", 1<<16)
	f.Add([]byte{1, 2, 3}, "lo", -1)
	f.Fuzz(func(t *testing.T, ip []byte, zone string, port int) {
		for _, addr := range []net.Addr{
			&net.UDPAddr{IP: ip, Zone: zone, Port: port}, &net.IPAddr{IP: ip, Zone: zone}, &net.UnixAddr{Name: zone, Net: "unixgram"},
			datagram.RawAddr{Sockaddr: ip},
			textAddr{"udp", zone},
			textAddr{zone, string(ip)},
		} {
			d := datagram.ToNet(addr, ip)
			if d.Addr.Addr().Is4In6() || d.Addr.Addr().Is4() && d.Addr.Addr().Zone() != "" {
				t.Errorf("%#v became %v", addr, d.Addr)
			}
			if again := datagram.ToNet(d.NetAddr(), ip); again.Addr != d.Addr {
				t.Errorf("%#v became %v, then %v", addr, d.Addr, again.Addr)
			}
			if reply := d.Reply(ip); reply.Addr != d.Addr {
				t.Errorf("the reply to %v goes to %v", d.Addr, reply.Addr)
			}
		}
		want, ok := netip.AddrFromSlice(ip)
		if len(ip) == 0 && port > 0 { // as net.ResolveUDPAddr returns for ":port"
			want, ok, zone = netip.IPv4Unspecified(), true, ""
		}
		d := datagram.ToNet(&net.UDPAddr{IP: ip, Zone: zone, Port: port}, nil)
		if !ok || port < 0 || port > 65535 {
			if d.Addr.IsValid() || d.NetAddr() == nil && (len(ip) > 0 || port != 0) {
				t.Errorf("%v, port %d became %v, %v", ip, port, d.Addr, d.NetAddr())
			}
		} else if d.Addr != netip.AddrPortFrom(want.Unmap().WithZone(zone), uint16(port)) {
			t.Errorf("%v%%%s, port %d became %v", want, zone, port, d.Addr)
		}
	})
}

// FuzzOptions makes handles with arbitrary values of options: what is out of range is EINVAL, the
// rest is remembered.
func FuzzOptions(f *testing.F) {
	for _, n := range []int{math.MinInt, -1, 0, 1, 255, 256, 1 << 20, 1<<20 + 1, math.MaxInt32, math.MaxInt} {
		for kind := range uint8(13) {
			f.Add(kind, n, 1)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, n, m int) {
		const ttl, multicastTTL, readBuffer, writeBuffer = 0, 1, 2, 3
		kinds := []datagram.Option{
			ttl: datagram.WithTTL(n), multicastTTL: datagram.WithMulticastTTL(n),
			readBuffer: datagram.WithReadBuffer(n), writeBuffer: datagram.WithWriteBuffer(n),
			4: datagram.WithRecvQueue(n, datagram.Overflow(m)), 5: datagram.WithSendQueue(n, m),
			6: datagram.WithMaxDatagramSize(n), 7: datagram.WithMaxAge(time.Duration(n)),
			8: datagram.WithMetadata(datagram.MetadataKind(n), datagram.MetadataKind(m)), 9: datagram.WithOffload(datagram.Offload(n)),
			10: datagram.WithMulticastInterface(&net.Interface{Index: n}), 11: datagram.WithTrafficClass(uint8(n)), 12: nil,
		}
		within := func(n, least, most int) bool { return least <= n && n <= most }
		valid := []bool{
			ttl: within(n, 1, 255), multicastTTL: within(n, 1, 255), readBuffer: within(n, 0, math.MaxInt32), writeBuffer: within(n, 0, math.MaxInt32),
			4: within(n, 1, 1<<20) && uint8(m) <= uint8(datagram.DropOldest), 5: n > 0 && m > 0, 6: within(n, 1, 1<<30), 7: n > 0,
			8: max(uint8(n), uint8(m)) <= uint8(datagram.MetaTime), 9: uint8(n) <= uint8(datagram.OffloadAll), 10: within(n, 1, math.MaxInt32), 11: true, 12: false,
		}
		kind %= uint8(len(kinds))
		c, err := datagram.New(datagram.WithData(n), kinds[kind])
		if op := (*net.OpError)(nil); err != nil && (c != nil || !errors.As(err, &op) || !errors.Is(err, syscall.EINVAL)) || valid[kind] != (err == nil) {
			t.Errorf("option %d, %d, %d: a handle %v, %v", kind, n, m, c != nil, err)
		}
		if err != nil {
			return
		}
		defer c.Close()
		get := map[uint8]func() (int, error){
			ttl: c.TTL, multicastTTL: c.MulticastTTL, readBuffer: c.ReadBuffer, writeBuffer: c.WriteBuffer,
		}[kind]
		if get != nil {
			if got, err := get(); got != n || err != nil {
				t.Errorf("option %d was set to %d and is %d, %v", kind, n, got, err)
			}
		}
		if c.Data() != n || c.LocalAddr().IsValid() || c.Active() {
			t.Errorf("option %d, %d: not a new handle", kind, n)
		}
	})
}
