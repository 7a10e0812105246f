package socket_test

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
)

// Options of a closed socket fail with net.ErrClosed and nothing else, also where
// package os has another error for it.
func TestOptionsOfClosed(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		listened := openSocket(t, config)
		opened := open(t, newFD(t, unix.AF_INET, unix.SOCK_DGRAM, 0), config)
		for _, s := range []socket.Socket{listened, opened} {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			_, get := s.Option(socket.TTL)
			for name, err := range map[string]error{
				"set TTL":         s.SetOption(socket.TTL, 1),
				"TTL":             get,
				"set read buffer": s.SetOption(socket.ReadBuffer, 1<<16),
				"join":            s.Membership(socket.Membership{Group: netip.MustParseAddr("239.255.7.7")}),
			} {
				if !errors.Is(err, net.ErrClosed) || errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}

// PathMTU may be read while the socket is connected and disconnected.
func TestPathMTUWhileConnecting(t *testing.T) {
	s, err := listen(t, "udp", ":0", implementations[0].config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var asking sync.WaitGroup
	asking.Go(func() {
		for range 100 {
			_, _ = s.Option(socket.PathMTU)
		}
	})
	for range 100 {
		for _, peer := range []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9"), {}} {
			if err := s.Connect(peer); err != nil {
				t.Fatal(err)
			}
		}
	}
	asking.Wait()
}
