package datagram_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// message returns a control message.
func message(level, kind int32, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func segment(size uint16) []byte {
	return message(unix.SOL_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, size)...)
}

func number(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// What is asked for when sending is told when receiving, in the layout that package ipv4 parses.
func TestControlMessages4(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := conntest.Listen(t, "udp4", ":0", w.opts(t)...), w.listen(t).UDPConn()
		u := c.UDPConn()
		to := netip.AddrPortFrom(sender.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), c.LocalAddr().Port())
		if w.name == "simulated" {
			c = w.listen(t, datagram.WithMetadata(datagram.MetaLocal))
			u, to = c.UDPConn(), c.LocalAddr()
		}
		for name, request := range map[string]struct {
			oob   []byte
			class byte
		}{
			"none":         {nil, 0},
			"TOS, a byte":  {message(unix.IPPROTO_IP, unix.IP_TOS, 0x2e), 0x2e},
			"TOS, an int":  {message(unix.IPPROTO_IP, unix.IP_TOS, number(2)...), 2},
			"TCLASS":       {message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, number(1)...), 1},
			"PKTINFO, too": {append(message(unix.IPPROTO_IP, unix.IP_TOS, 3), message(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 12)...)...), 3},
		} {
			if _, oobn, err := sender.WriteMsgUDPAddrPort([]byte("x"), request.oob, to); err != nil || oobn != len(request.oob) {
				t.Fatalf("%s: %d, %v", name, oobn, err)
			}
			oob := make([]byte, 128)
			_, oobn, flags, _, err := u.ReadMsgUDPAddrPort(make([]byte, 10), oob)
			if err != nil || flags != 0 {
				t.Fatalf("%s: flags %#x, %v", name, flags, err)
			}
			var info ipv4.ControlMessage
			if err := info.Parse(oob[:oobn]); err != nil || !info.Dst.Equal(to.Addr().AsSlice()) || info.IfIndex == 0 {
				t.Errorf("%s: %+v, %v; want %v", name, info, err, to)
			}
			messages, err := unix.ParseSocketControlMessage(oob[:oobn])
			if err != nil || len(messages) != 2 {
				t.Fatalf("%s: %v, %v", name, messages, err)
			}
			if m := messages[1]; m.Header.Level != unix.IPPROTO_IP || m.Header.Type != unix.IP_TOS || !bytes.Equal(m.Data, []byte{request.class}) {
				t.Errorf("%s: %+v, want TOS %d", name, m, request.class)
			}
			if m := messages[0]; !bytes.Equal(m.Data[4:8], m.Data[8:12]) {
				t.Errorf("%s: the address to answer from is %v", name, m.Data[4:8])
			}
		}
	})
}

func TestControlMessages6(t *testing.T) {
	testenv.NeedIPv6(t)
	c := conntest.Listen(t, "udp", ":0")
	sender := conntest.Listen(t, "udp6", "[::1]:0").UDPConn()
	u := c.UDPConn()
	to := netip.AddrPortFrom(conntest.Localhost6, c.LocalAddr().Port())
	loopback := conntest.Localhost6.As16()
	info := message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(loopback[:], number(0)...)...)
	oob := append(info, message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, number(2)...)...)
	if _, _, err := sender.WriteMsgUDPAddrPort([]byte("x"), oob, to); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 128)
	_, oobn, _, _, err := u.ReadMsgUDPAddrPort(make([]byte, 10), got)
	if err != nil {
		t.Fatal(err)
	}
	var told ipv6.ControlMessage
	if err := told.Parse(got[:oobn]); err != nil || !told.Dst.Equal(net.IPv6loopback) || told.TrafficClass != 2 || told.IfIndex == 0 {
		t.Errorf("told %+v, %v", told, err)
	}
}

// A program can echo packet information to answer from where it was asked, and that wins over what the
// handle remembers.
func TestExplicitPacketInfo(t *testing.T) {
	c := conntest.Listen(t, "udp4", ":0")
	u, client := c.UDPConn(), conntest.Loopback(t).PacketConn()
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.LocalAddr().Port())
	write(t, client, "x", net.UDPAddrFromAddrPort(asked))
	from := read(t, u, "x").(*net.UDPAddr)
	want := netip.MustParseAddr("127.0.0.3").As4()
	info := message(unix.IPPROTO_IP, unix.IP_PKTINFO, append(append(number(0), want[:]...), 0, 0, 0, 0)...)
	if _, _, err := u.WriteMsgUDP([]byte("answer"), info, from); err != nil {
		t.Fatal(err)
	}
	if from := read(t, client, "answer").(*net.UDPAddr); from.AddrPort().Addr().As4() != want {
		t.Errorf("answered by %v", from)
	}
}

func TestTruncatedMessages(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t, datagram.WithMetadata(datagram.MetaLocal)), w.listen(t).PacketConn()
		u := c.UDPConn()
		all := unix.CmsgSpace(unix.SizeofInet4Pktinfo) + unix.CmsgSpace(1)
		for _, room := range []int{0, 1, 15, 16, 24, all - 1, all, all + 1} {
			write(t, sender, "long", u.LocalAddr())
			oob := bytes.Repeat([]byte{0xee}, 100)
			n, oobn, flags, _, err := u.ReadMsgUDPAddrPort(make([]byte, 3), oob[:room])
			if err != nil || n != 3 || flags&unix.MSG_TRUNC == 0 {
				t.Errorf("room for 3 bytes: %d, flags %#x, %v", n, flags, err)
			}
			if truncated := flags&unix.MSG_CTRUNC != 0; truncated != (room > 0 && room < all) || oobn > room {
				t.Errorf("room for %d bytes: %d used, truncated %v", room, oobn, truncated)
			}
			if _, err := unix.ParseSocketControlMessage(oob[:oobn]); err != nil {
				t.Errorf("room for %d bytes: %v", room, err)
			}
			if bytes.IndexFunc(oob[room:], func(r rune) bool { return r == 0 }) >= 0 {
				t.Errorf("room for %d bytes: wrote beyond", room)
			}
		}
	})
}

func TestBadControlMessages(t *testing.T) {
	c := conntest.Loopback(t)
	u := c.UDPConn()
	long := message(unix.IPPROTO_IP, unix.IP_TOS, 1)
	(*unix.Cmsghdr)(unsafe.Pointer(&long[0])).SetLen(len(long) + 1)
	short := message(unix.IPPROTO_IP, unix.IP_TOS, 1)
	(*unix.Cmsghdr)(unsafe.Pointer(&short[0])).SetLen(1)
	for name, oob := range map[string][]byte{
		"shorter than a header": make([]byte, 5),
		"zeros":                 make([]byte, 32),
		"length beyond":         long,
		"length within header":  short,
		"bytes behind":          append(message(unix.IPPROTO_IP, unix.IP_TOS, 1), 0),
		"segment of 4 bytes":    message(unix.SOL_UDP, unix.UDP_SEGMENT, number(10)...),
		"segment of 1 byte":     message(unix.SOL_UDP, unix.UDP_SEGMENT, 10),
		"GRO":                   message(unix.SOL_UDP, unix.UDP_GRO, number(10)...),
		"TOS of 2 bytes":        message(unix.IPPROTO_IP, unix.IP_TOS, 1, 0),
		"TOS of 256":            message(unix.IPPROTO_IP, unix.IP_TOS, number(256)...),
		"TCLASS of 1 byte":      message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 1),
		"negative TCLASS":       message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, number(1<<32-2)...),
		"PKTINFO too short":     message(unix.IPPROTO_IP, unix.IP_PKTINFO, make([]byte, 8)...),
		"PKTINFO of IPv6":       message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, make([]byte, 12)...),
		"PKTINFO from IPv6":     message(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(net.IPv6loopback, number(0)...)...),
		"negative interface":    message(unix.IPPROTO_IP, unix.IP_PKTINFO, append(number(1<<31), make([]byte, 8)...)...),
		"TTL":                   message(unix.IPPROTO_IP, unix.IP_TTL, number(3)...),
		"rights":                unix.UnixRights(0),
	} {
		_, _, err := u.WriteMsgUDPAddrPort([]byte("x"), oob, c.LocalAddr())
		want := "control messages"
		switch name {
		case "negative interface":
			want = "interface index"
		case "PKTINFO from IPv6":
			want = "source of another family"
		}
		if op := (*net.OpError)(nil); !errors.As(err, &op) || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want EINVAL for the %s", name, err, want)
		}
	}
	if s := c.Stats(); s.Accepted != 0 {
		t.Errorf("%d accepted", s.Accepted)
	}
	odd := append([]byte{0}, message(unix.IPPROTO_IP, unix.IP_TOS, 1)...)[1:] // not aligned
	if _, _, err := u.WriteMsgUDPAddrPort([]byte("x"), odd, c.LocalAddr()); err != nil {
		t.Errorf("a message that is not aligned: %v", err)
	}
}

// A run arrives as the datagrams that the system would have made of it, on every way.
func TestWriteMsgSegments(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		c, sender := w.listen(t, datagram.WithReadBuffer(4<<20)), w.listen(t)
		u := c.UDPConn()
		to := c.LocalAddr()
		accepted := uint64(0)
		for _, run := range []struct{ size, segment, datagrams int }{
			{1000, 100, 10}, {1050, 100, 11}, {100, 100, 1}, {99, 100, 1}, {50, 0, 1}, {0, 100, 1}, {7000, 100, 70},
		} {
			payload := make([]byte, run.size)
			for i := range payload {
				payload[i] = byte(i / 3)
			}
			oob := append(segment(uint16(run.segment)), message(unix.IPPROTO_IP, unix.IP_TOS, 2)...)
			n, oobn, err := sender.UDPConn().WriteMsgUDPAddrPort(payload, oob, to)
			if n != run.size || oobn != len(oob) || err != nil {
				t.Fatalf("%+v: %d, %d, %v", run, n, oobn, err)
			}
			clear(oob)
			var got []byte
			for range run.datagrams {
				p := make([]byte, 2048)
				n, _, _, _, err := u.ReadMsgUDPAddrPort(p, oob)
				if err != nil || n > run.segment && run.segment > 0 {
					t.Fatalf("%+v: a datagram of %d bytes, %v", run, n, err)
				}
				got = append(got, p[:n]...)
			}
			if !bytes.Equal(got, payload) {
				t.Errorf("%+v: got %d other bytes", run, len(got))
			}
			accepted += uint64(run.datagrams)
		}
		if s := sender.Stats(); s.Accepted != accepted {
			t.Errorf("%d accepted, want %d", s.Accepted, accepted)
		}
		_, _, err := sender.UDPConn().WriteMsgUDPAddrPort(make([]byte, 65508), segment(1000), to)
		conntest.CheckErrno(t, err, syscall.EMSGSIZE)
	})
}

// A run leaves as few messages as the system can segment.
func TestWriteMsgSegmentsLeaveTogether(t *testing.T) {
	testenv.AllOffloads(t)
	c := conntest.Loopback(t)
	if !c.Capabilities().GSO.Active {
		t.Skip(c.Capabilities().GSO)
	}
	sink := conntest.Socket(t)
	if _, _, err := c.UDPConn().WriteMsgUDPAddrPort(make([]byte, 50*1200), segment(1200), conntest.AddrOf(sink)); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Sent != 50 || s.SendCalls != 1 {
		t.Errorf("%d datagrams in %d calls", s.Sent, s.SendCalls)
	}
}

// Metadata that libraries ask the system for themselves reaches them.
func TestControlMessagesOfSocketOptions(t *testing.T) {
	c := conntest.Loopback(t)
	u := c.UDPConn()
	conntest.OnFile(t, u, func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1) })
	write(t, u, "x", u.LocalAddr())
	oob := make([]byte, 100)
	_, oobn, _, _, err := u.ReadMsgUDPAddrPort(make([]byte, 10), oob)
	var info ipv4.ControlMessage
	if err == nil {
		err = info.Parse(oob[:oobn])
	}
	if err != nil || fmt.Sprint(info.Dst) != "127.0.0.1" {
		t.Errorf("%+v, %v", info, err)
	}
}
