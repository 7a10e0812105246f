package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FuzzParseControl gives the parser hostile control messages. What they read outside of the
// buffer would be found by the race detector's pointer checks.
func FuzzParseControl(f *testing.F) {
	room := func() []byte { return make([]byte, 0, ControlSize) }
	c := Control{Local: netip.MustParseAddr("127.0.0.1"), IfIndex: 1, HopLimit: 3, TrafficClass: 4}
	v4, _ := AppendControl(room(), &c, true, nil)
	f.Add(AppendSegmentSize(v4, 1200))
	c.Local = netip.MustParseAddr("fe80::1%lo")
	v6, _ := AppendControl(room(), &c, false, testZones{})
	f.Add(v6)
	f.Add(unix.UnixRights(3, 4, 5))
	for _, size := range []uint64{0, 1, 15, 16, 17, 1 << 31, 1 << 63, math.MaxUint64} {
		f.Add(binary.NativeEndian.AppendUint64(nil, size))
		f.Add(append(binary.NativeEndian.AppendUint64(nil, size), make([]byte, 24)...))
	}
	for _, kind := range []int32{timeMessage, unix.SCM_RIGHTS, unix.SCM_PIDFD} {
		for size := range 20 {
			b := room()
			appendMessage(&b, unix.SOL_SOCKET, kind, size)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// An allocation of its own, aligned as the kernel's messages are.
		b = append(make([]byte, 0, len(b)), b...)[:len(b):len(b)]
		before := slices.Clone(b)
		var a Ancillary
		a.Parse(b, testZones{})
		if !slices.Equal(b, before) {
			t.Error("parsing wrote to the buffer")
		}
		if 4*len(a.Descriptors) > len(b) {
			t.Errorf("%d descriptors in %d bytes", len(a.Descriptors), len(b))
		}
	})
}

// TestControlRoundTrip parses what was made for sending. Where the two differ in form,
// the kernel accepts both.
func TestControlRoundTrip(t *testing.T) {
	for _, c := range []Control{
		{},
		{Local: netip.MustParseAddr("192.0.2.1")},
		{Local: netip.MustParseAddr("2001:db8::1"), IfIndex: 7},
		{HopLimit: 255},
		{Local: netip.MustParseAddr("2001:db8::1"), IfIndex: 1, HopLimit: 1, TrafficClass: 255},
	} {
		b, err := AppendControl(make([]byte, 0, ControlSize), &c, c.Local.Is4(), nil)
		if err != nil {
			t.Fatal(err)
		}
		b = AppendSegmentSize(b, 1200)
		var m Ancillary
		m.Parse(b, nil)
		want := c
		if c.Local.Is4() {
			m.Control.Local, want.Local = netip.Addr{}, netip.Addr{} // sent as ipi_spec_dst
		}
		if m.Control != want || m.SegmentSize != 0 { // sent with two bytes, received with four
			t.Errorf("%+v came back as %+v, segment size %d", c, m.Control, m.SegmentSize)
		}
	}
}

// TestControlWorstCase adds up what ControlSize is said to be enough for.
func TestControlWorstCase(t *testing.T) {
	size := 0
	for _, data := range []int{unix.SizeofInet6Pktinfo, unix.SizeofInet4Pktinfo, 4, 1, 16, 4} {
		size += unix.CmsgSpace(data)
	}
	if size > ControlSize || unsafe.Sizeof(uintptr(0)) == 8 && size != 176 {
		t.Errorf("received control messages may take %d bytes", size)
	}
}

func TestParseControl(t *testing.T) {
	b := make([]byte, 0, ControlSize)
	binary.NativeEndian.PutUint32(appendMessage(&b, unix.SOL_UDP, unix.UDP_GRO, 4), 1400)
	stamp := appendMessage(&b, unix.SOL_SOCKET, timeMessage, 16)
	binary.NativeEndian.PutUint64(stamp, 1<<33)
	binary.NativeEndian.PutUint64(stamp[8:], 5)
	appendMessage(&b, unix.SOL_IP, unix.IP_TOS, 1)[0] = 0xb9
	binary.NativeEndian.PutUint32(appendMessage(&b, unix.SOL_IP, unix.IP_TTL, 4), 64)
	info := appendMessage(&b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	binary.NativeEndian.PutUint32(info, 3)
	copy(info[4:], []byte{192, 0, 2, 1, 192, 0, 2, 255})
	var m Ancillary
	m.Parse(b, nil)
	want := Ancillary{SegmentSize: 1400, Elsewhere: true, Control: Control{
		Local: netip.MustParseAddr("192.0.2.255"), IfIndex: 3, HopLimit: 64, TrafficClass: 0xb9, Time: time.Unix(1<<33, 5),
	}}
	if m.SegmentSize != want.SegmentSize || m.Elsewhere != want.Elsewhere || m.Control != want.Control {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

// Whether the destination is an address to send from is told, or is not known.
func TestParseDestination(t *testing.T) {
	info4 := func(source, destination byte) []byte {
		b := make([]byte, 0, ControlSize)
		data := appendMessage(&b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		copy(data[4:], []byte{source, 0, 0, source, destination, 0, 0, destination})
		return b
	}
	info6 := func(destination string, index byte) []byte {
		b := make([]byte, 0, ControlSize)
		addr := netip.MustParseAddr(destination).As16()
		data := appendMessage(&b, unix.SOL_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		binary.NativeEndian.PutUint32(data[copy(data, addr[:]):], uint32(index))
		return b
	}
	for name, test := range map[string]struct {
		b                     []byte
		local                 string
		elsewhere, unverified bool
	}{
		"to one address, from another":  {info4(192, 224), "224.0.0.224", true, false},
		"from the same address":         {info4(192, 192), "192.0.0.192", false, false},
		"source unknown":                {info4(0, 192), "192.0.0.192", false, true},
		"to a group, source unknown":    {info4(0, 224), "224.0.0.224", true, false},
		"to an address of IPv6":         {info6("2001:db8::1", 1), "2001:db8::1", false, false},
		"to a link-local address":       {info6("fe80::1", 1), "fe80::1%lo", false, false},
		"to a group of a link":          {info6("ff02::1", 7), "ff02::1%7", true, false},
		"to an address of IPv4, mapped": {info6("::ffff:169.254.0.1", 1), "169.254.0.1", false, false},
	} {
		var a Ancillary
		a.Parse(test.b, testZones{})
		if a.Control.Local != netip.MustParseAddr(test.local) || a.Elsewhere != test.elsewhere || a.Unverified != test.unverified {
			t.Errorf("%s: %+v", name, a)
		}
	}
}
