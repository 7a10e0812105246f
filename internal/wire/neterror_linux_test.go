package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// appendNetworkError appends what the kernel puts into the error queue: struct sock_extended_err and
// the address of whoever reported (ip(7), IP_RECVERR).
func appendNetworkError(b []byte, level, kind int32, e unix.SockExtendedErr, offender netip.AddrPort) []byte {
	var sa RawSockaddr
	family := IPv4
	if offender.Addr().Is6() {
		family = IPv6
	}
	size, _ := sa.Encode(offender, family, testZones{})
	data := appendMessage(&b, level, kind, int(unsafe.Sizeof(e))+int(size))
	n := copy(data, (*[unsafe.Sizeof(e)]byte)(unsafe.Pointer(&e))[:])
	copy(data[n:], sa.Bytes()[:size])
	return b
}

// FuzzParseNetworkError reads what a kernel would have to be broken to write.
func FuzzParseNetworkError(f *testing.F) {
	room := func() []byte { return make([]byte, 0, ControlSize) }
	e := unix.SockExtendedErr{Errno: uint32(unix.EMSGSIZE), Origin: unix.SO_EE_ORIGIN_ICMP, Type: 3, Code: 4, Info: 1280}
	f.Add(appendNetworkError(room(), unix.SOL_IP, unix.IP_RECVERR, e, netip.MustParseAddrPort("192.0.2.1:0")))
	f.Add(appendNetworkError(room(), unix.SOL_IPV6, unix.IPV6_RECVERR, e, netip.MustParseAddrPort("[fe80::1%1]:0")))
	for size := range 48 {
		b := room()
		data := appendMessage(&b, unix.SOL_IP, unix.IP_RECVERR, size)
		for i := range data {
			data[i] = 2 // as an address family, AF_INET, without the address; as an origin, ICMP
		}
		f.Add(b)
	}
	for _, size := range []uint64{0, 1, 15, 16, 17, 1 << 31, 1 << 63, math.MaxUint64} {
		f.Add(append(binary.NativeEndian.AppendUint64(nil, size), make([]byte, 24)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = slices.Clip(slices.Clone(b)) // an allocation of its own, aligned as the kernel's messages are
		before := slices.Clone(b)
		e, ok := ParseNetworkError(b, testZones{})
		if !ok && e.Offender.IsValid() || e.MTU != 0 && e.Errno != unix.EMSGSIZE {
			t.Errorf("%+v, %v", e, ok)
		}
		if !slices.Equal(b, before) {
			t.Error("parsing wrote to the buffer")
		}
	})
}

func TestParseNetworkError(t *testing.T) {
	for _, test := range []struct {
		level, kind int32
		origin      uint8
		offender    string
		ok          bool
	}{
		{unix.SOL_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_ICMP, "192.0.2.1:0", true},
		{unix.SOL_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_ICMP6, "[2001:db8::1]:0", true},
		{unix.SOL_IPV6, unix.IPV6_RECVERR, unix.SO_EE_ORIGIN_LOCAL, "[2001:db8::1]:0", false},
		{unix.SOL_IP, unix.IP_RECVERR, unix.SO_EE_ORIGIN_TIMESTAMPING, "192.0.2.1:0", false},
		{unix.SOL_IP, unix.IP_TTL, unix.SO_EE_ORIGIN_ICMP, "192.0.2.1:0", false},
	} {
		offender := netip.MustParseAddrPort(test.offender)
		raw := unix.SockExtendedErr{Errno: uint32(unix.EMSGSIZE), Origin: test.origin, Info: 1280}
		b := make([]byte, 0, 2*ControlSize)
		binary.NativeEndian.PutUint32(appendMessage(&b, unix.SOL_IP, unix.IP_TTL, 4), 64) // what else was asked for
		e, ok := ParseNetworkError(appendNetworkError(b, test.level, test.kind, raw, offender), nil)
		if ok != test.ok || ok && (e.Errno != unix.EMSGSIZE || e.MTU != 1280 || e.Offender != offender.Addr()) {
			t.Errorf("%+v: got %+v, %v", test, e, ok)
		}
	}
}
