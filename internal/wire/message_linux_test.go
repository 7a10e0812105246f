package wire

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// FuzzParseRequest gives the parser hostile control messages, at any alignment. What it accepts, it
// understands: the kernel accepts what is made of it.
func FuzzParseRequest(f *testing.F) {
	for _, c := range []Control{
		{},
		{Local: netip.MustParseAddr("192.0.2.1"), IfIndex: 1, TrafficClass: 4},
		{Local: netip.MustParseAddr("2001:db8::1"), TrafficClass: 255},
	} {
		v4 := c.Local.Is4()
		b, _ := AppendControl(make([]byte, 0, ControlSize), &c, v4, nil)
		f.Add(AppendSegmentSize(b, 1200))
		b, _ = AppendMessages(make([]byte, 0, ControlSize), &c, v4, false)
		f.Add(b)
	}
	for _, size := range []uint64{0, 1, 15, 16, 17, 1 << 31, 1 << 63} {
		f.Add(append(binary.NativeEndian.AppendUint64(nil, size), make([]byte, 24)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		odd := append(make([]byte, 1, len(b)+1), b...)[1:]
		before := slices.Clone(odd)
		c, segment, err := ParseRequest(odd)
		if !slices.Equal(odd, before) {
			t.Error("parsing wrote to the buffer")
		}
		if err != nil {
			if c != (Control{}) || segment != 0 {
				t.Errorf("with an error, %+v, %d", c, segment)
			}
			return
		}
		if c.HopLimit != 0 || segment < 0 || segment > 1<<16-1 {
			t.Errorf("%+v, %d", c, segment)
		}
		v4 := !c.Local.IsValid() || c.Local.Is4()
		if _, err := AppendControl(make([]byte, 0, ControlSize), &c, v4, testZones{}); err != nil {
			t.Errorf("%+v cannot be sent: %v", c, err)
		}
	})
}

// What is told is told in the order and layout of the kernel, and understood by the parser of what the
// kernel tells.
func TestAppendMessages(t *testing.T) {
	for _, c := range []Control{
		{},
		{TrafficClass: 255},
		{Local: netip.MustParseAddr("192.0.2.1"), IfIndex: 7, TrafficClass: 2},
		{Local: netip.MustParseAddr("2001:db8::1"), IfIndex: 7, TrafficClass: 2},
	} {
		for _, elsewhere := range []bool{false, true} {
			v4 := c.Local.Is4()
			b, fit := AppendMessages(make([]byte, 0, ControlSize), &c, v4, elsewhere)
			if !fit {
				t.Fatalf("%+v does not fit", c)
			}
			var a Ancillary
			a.Parse(b, testZones{})
			if a.Control != c {
				t.Errorf("told %+v, want %+v", a.Control, c)
			}
			if v4 {
				spec, want := netip.AddrFrom4([4]byte(b[unix.CmsgLen(0)+4:])), c.Local
				if elsewhere {
					want = netip.IPv4Unspecified()
				}
				if spec != want {
					t.Errorf("the address to answer from is %v, want %v", spec, want)
				}
			}
			for room := range len(b) {
				part, fit := AppendMessages(make([]byte, 0, room), &c, v4, elsewhere)
				if fit || len(part) > room || !slices.Equal(part, b[:len(part)]) {
					t.Errorf("in %d bytes, %d of %d, fit %v", room, len(part), len(b), fit)
				}
			}
		}
	}
}
