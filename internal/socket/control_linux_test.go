package socket

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
	room := func() []byte { return make([]byte, 0, controlSize) }
	c := Control{Local: netip.MustParseAddr("127.0.0.1"), IfIndex: 1, HopLimit: 3, TrafficClass: 4}
	v4, _ := appendControl(room(), &c, true, nil)
	f.Add(appendSegmentSize(v4, 1200))
	c.Local = netip.MustParseAddr("fe80::1%lo")
	v6, _ := appendControl(room(), &c, false, nil)
	f.Add(v6)
	f.Add(unix.UnixRights(3, 4, 5))
	for _, size := range []uint64{0, 1, 15, 16, 17, 1 << 31, 1 << 63, math.MaxUint64} {
		f.Add(binary.NativeEndian.AppendUint64(nil, size))
		f.Add(append(binary.NativeEndian.AppendUint64(nil, size), make([]byte, 24)...))
	}
	for _, kind := range []int32{timeMessage, unix.SCM_RIGHTS} {
		for size := range 20 {
			b := room()
			appendMessage(&b, unix.SOL_SOCKET, kind, size)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		closeDescriptor = func(int) error { return nil }
		defer func() { closeDescriptor = unix.Close }()
		// An allocation of its own, aligned as the kernel's messages are.
		b = append(make([]byte, 0, len(b)), b...)[:len(b):len(b)]
		before := slices.Clone(b)
		var m Incoming
		parseControl(b, &m, nil)
		if !slices.Equal(b, before) {
			t.Error("parsing wrote to the buffer")
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
		b, err := appendControl(make([]byte, 0, controlSize), &c, c.Local.Is4(), nil)
		if err != nil {
			t.Fatal(err)
		}
		b = appendSegmentSize(b, 1200)
		var m Incoming
		parseControl(b, &m, nil)
		want := c
		if c.Local.Is4() {
			m.Control.Local, want.Local = netip.Addr{}, netip.Addr{} // sent as ipi_spec_dst
		}
		if m.Control != want || m.SegmentSize != 0 { // sent with two bytes, received with four
			t.Errorf("%+v came back as %+v, segment size %d", c, m.Control, m.SegmentSize)
		}
	}
}

// TestControlWorstCase adds up what controlSize is said to be enough for.
func TestControlWorstCase(t *testing.T) {
	size := 0
	for _, data := range []int{unix.SizeofInet6Pktinfo, unix.SizeofInet4Pktinfo, 4, 1, 16, 4} {
		size += unix.CmsgSpace(data)
	}
	if size > controlSize || unsafe.Sizeof(uintptr(0)) == 8 && size != 176 {
		t.Errorf("received control messages may take %d bytes", size)
	}
}

func TestParseControl(t *testing.T) {
	b := make([]byte, 0, controlSize)
	binary.NativeEndian.PutUint32(appendMessage(&b, unix.SOL_UDP, unix.UDP_GRO, 4), 1400)
	stamp := appendMessage(&b, unix.SOL_SOCKET, timeMessage, 16)
	binary.NativeEndian.PutUint64(stamp, 1<<33)
	binary.NativeEndian.PutUint64(stamp[8:], 5)
	appendMessage(&b, unix.SOL_IP, unix.IP_TOS, 1)[0] = 0xb9
	binary.NativeEndian.PutUint32(appendMessage(&b, unix.SOL_IP, unix.IP_TTL, 4), 64)
	info := appendMessage(&b, unix.SOL_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	binary.NativeEndian.PutUint32(info, 3)
	copy(info[4:], []byte{192, 0, 2, 1, 192, 0, 2, 255})
	var m Incoming
	parseControl(b, &m, nil)
	want := Incoming{SegmentSize: 1400, Elsewhere: true, Control: Control{
		Local: netip.MustParseAddr("192.0.2.255"), IfIndex: 3, HopLimit: 64, TrafficClass: 0xb9, Time: time.Unix(1<<33, 5),
	}}
	if m.SegmentSize != want.SegmentSize || m.Elsewhere != want.Elsewhere || m.Control != want.Control {
		t.Errorf("got %+v, want %+v", m, want)
	}
}
