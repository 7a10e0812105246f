package wire

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func FuzzSockaddr(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "::1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "::", "fe80::1%lo", "fe80::1%77"} {
		f.Add(s, uint16(53))
	}
	f.Fuzz(func(t *testing.T, s string, port uint16) {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			t.Skip()
		}
		addr := netip.AddrPortFrom(ip, port)
		for _, family := range []Family{IPv4, IPv6, Dual} {
			var want error
			if _, err := (testZones{}).Index(ip.Zone()); ip.Zone() != "" && family != IPv4 {
				want = err
			}
			if family == IPv4 && !ip.Unmap().Is4() {
				want = unix.EAFNOSUPPORT
			}
			var raw RawSockaddr
			size, err := raw.Encode(addr, family, testZones{})
			sa, err2 := new(Sockaddr).Encode(addr, family, testZones{})
			if !errors.Is(err, want) || !errors.Is(err2, want) {
				t.Errorf("%v, family %d: %v, %v; want %v", addr, family, err, err2, want)
			}
			if want != nil {
				continue
			}
			if got, name := raw.Decode(size, testZones{}); !sameAddr(got, addr) || name != nil {
				t.Errorf("%v, family %d: came back as %v, %v", addr, family, got, name)
			}
			if got, name := Decode(sa, testZones{}); !sameAddr(got, addr) || name != nil {
				t.Errorf("%v, family %d: came back as %v, %v", addr, family, got, name)
			}
		}
	})
}

// sameAddr compares addresses but for how they are written: a zone may name
// its interface or number it.
func sameAddr(got, want netip.AddrPort) bool {
	index := func(zone string) uint32 {
		n, _ := testZones{}.Index(zone)
		return n
	}
	ip := want.Addr().Unmap()
	if ip.Zone() != "" {
		if got.Addr().Zone() != "" && index(got.Addr().Zone()) != index(ip.Zone()) {
			return false
		}
		return got == netip.AddrPortFrom(ip.WithZone(got.Addr().Zone()), want.Port())
	}
	return got == netip.AddrPortFrom(ip, want.Port())
}

// FuzzDecodeSockaddr reads what a kernel would have to be broken to write.
func FuzzDecodeSockaddr(f *testing.F) {
	for _, family := range []uint16{unix.AF_UNSPEC, unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET} {
		b := append(binary.NativeEndian.AppendUint16(nil, family), "some address, of which more may be missing"...)
		for _, size := range []uint32{0, 1, 2, 3, 16, 28, 110, 128, 1 << 31} {
			f.Add(b, size)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint32) {
		var sa RawSockaddr
		copy(sa.Bytes()[:], b)
		addr, name := sa.Decode(size, testZones{})
		if addr.IsValid() && name != nil {
			t.Errorf("both %v and %v", addr, name)
		}
		if name != nil {
			_, _ = sa.EncodeName(name)
		}
	})
}

func TestNameRoundTrip(t *testing.T) {
	for _, addr := range []net.Addr{
		&net.UnixAddr{Name: "/tmp/socket", Net: "unixgram"},
		&net.UnixAddr{Name: "@abstract", Net: "unixgram"},
		&net.UnixAddr{Name: "@with\x00zeros\x00", Net: "unixgram"},
		&net.UnixAddr{Name: strings.Repeat("x", 108), Net: "unixgram"},
		RawAddr{append(binary.NativeEndian.AppendUint16(nil, unix.AF_NETLINK), make([]byte, 10)...)},
	} {
		var sa RawSockaddr
		size, err := sa.EncodeName(&Name{addr})
		if err != nil {
			t.Errorf("%v: %v", addr, err)
			continue
		}
		_, name := sa.Decode(size, testZones{})
		if name == nil || name.String() != addr.String() || name.Network() != addr.Network() {
			t.Errorf("%v came back as %v", addr, name)
		}
		sys, err := EncodeName(&Name{addr})
		if _, ok := addr.(*net.UnixAddr); ok == (err != nil) {
			t.Errorf("%v: %v", addr, err)
		}
		if _, name := Decode(sys, nil); err == nil && (name == nil || name.String() != addr.String()) {
			t.Errorf("%v came back as %v", addr, name)
		}
	}
	for addr, want := range map[net.Addr]error{
		&net.UnixAddr{Name: strings.Repeat("x", 109)}: unix.EINVAL,
		&net.TCPAddr{}: unix.EAFNOSUPPORT,
	} {
		if _, err := new(RawSockaddr).EncodeName(&Name{addr}); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", addr, err, want)
		}
	}
	long := &Name{RawAddr{slices.Repeat([]byte{1}, 129)}}
	if _, err := new(RawSockaddr).EncodeName(long); !errors.Is(err, unix.EINVAL) {
		t.Errorf("an address of 129 bytes: %v", err)
	}
}
