package socket_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
)

// Open and Send refuse what a family does not have.
func TestUnsupportedByFamily(t *testing.T) {
	var kernel socket.Kernel
	forEach(t, func(t *testing.T, config socket.Config) {
		for _, f := range []struct{ family, kind int }{{unix.AF_UNIX, unix.SOCK_DGRAM}, {unix.AF_NETLINK, unix.SOCK_RAW}, {unix.AF_PACKET, unix.SOCK_DGRAM}} {
			file := os.NewFile(uintptr(newFD(t, f.family, f.kind, 0)), "test")
			asking := config
			asking.NetworkErrors = true
			if s, err := kernel.Open(file, asking); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("family %d with network errors: %v, %v", f.family, s, err)
			}
			s, err := kernel.Open(file, config)
			if err != nil {
				t.Fatal(err)
			}
			d := socket.Outgoing{Payload: []byte("x"), Control: &socket.Control{HopLimit: 7}}
			if n, err := s.Send([]socket.Outgoing{d}, false); n != 0 || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("family %d, hop limit of a datagram: %d, %v", f.family, n, err)
			}
			s.Close()
			file.Close()
		}
	})
}

// The portable implementation refuses to report network errors: it does not read the error queue, which would fill.
func TestPortableHasNoNetworkErrors(t *testing.T) {
	config := implementations[len(implementations)-1].config
	if f := openSocket(t, config).Features().NetworkErrors; f.Active || f.Reason != errors.ErrUnsupported.Error() {
		t.Errorf("%+v", f)
	}
	config.NetworkErrors = true
	if s, err := listen(t, "udp4", "127.0.0.1:0", config); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v", s, err)
	}
}

// A raw socket of the protocol UDP moves IP datagrams, and has no offload.
func TestRawUDP(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		fd := newFD(t, unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_UDP)
		if info := open(t, fd, config).Info(); info.UDP || info.Network != "ip" || info.Family != socket.IPv4 {
			t.Errorf("%+v", info)
		}
	})
}

// Each feature that is off says why.
func TestReasons(t *testing.T) {
	config := limits(true, false, true)
	config.Shared, config.Reason = true, "asked for"
	f := open(t, newFD(t, unix.AF_INET, unix.SOCK_DGRAM, 0), config).Features()
	if f.Segment != (socket.Feature{Reason: "asked for"}) || f.Coalesce != (socket.Feature{Reason: "the socket is shared"}) {
		t.Errorf("segmentation %+v, coalescing %+v", f.Segment, f.Coalesce)
	}
}

// An address with a zone fails on a closed socket because it is closed.
func TestZoneOfClosed(t *testing.T) {
	s, err := listen(t, "udp6", "[::]:0", implementations[0].config)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	d := socket.Outgoing{Addr: netip.MustParseAddrPort("[fe80::1%lo]:9")}
	if _, err := s.Send([]socket.Outgoing{d}, false); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
