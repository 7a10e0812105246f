package socket_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/netns"
)

// Dissolving an association leaves the socket bound to its device and address.
func TestDisconnectKeepsDevice(t *testing.T) {
	n := netns.New(t)
	ifi, _ := netns.Link(n, n)
	n.Addresses(ifi, "fe80::1/64")
	zoned := "[fe80::1%" + ifi.Name + "]:0"
	forEach(t, func(t *testing.T, config socket.Config) {
		onDevice := config
		onDevice.Interface = "lo"
		for _, test := range []struct {
			name, device string
			open         func(t *testing.T) (socket.Socket, error)
			peer         string
		}{
			{"bound to it", "lo", func(t *testing.T) (socket.Socket, error) {
				return listen(t, "udp4", "127.0.0.1:0", onDevice)
			}, "127.0.0.1:9"},
			{"bound to an address of a link", ifi.Name, func(t *testing.T) (socket.Socket, error) {
				return listen(t, "udp6", zoned, config)
			}, "[fe80::2%" + ifi.Name + "]:9"},
			{"connected to an address of a link", "", func(t *testing.T) (socket.Socket, error) {
				return listen(t, "udp6", "[::]:0", config)
			}, "[fe80::2%" + ifi.Name + "]:9"},
			{"opened connected", "lo", func(t *testing.T) (socket.Socket, error) {
				fd := newFD(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
				if err := unix.BindToDevice(fd, "lo"); err != nil {
					return nil, err
				}
				err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})
				return open(t, fd, config), err
			}, ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				var s socket.Socket
				n.Do(func() {
					var err error
					if s, err = test.open(t); err != nil {
						t.Fatal(err)
					}
				})
				defer s.Close()
				before := s.Info().Local
				if test.peer != "" {
					if err := s.Connect(netip.MustParseAddrPort(test.peer)); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Connect(netip.AddrPort{}); err != nil {
					t.Fatal(err)
				}
				if info := s.Info(); info.Remote.IsValid() || test.peer != "" && info.Local != before {
					t.Errorf("%+v; want local address %v", info, before)
				}
				raw, err := s.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				if err := raw.Control(func(fd uintptr) {
					if device, err := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE); device != test.device {
						t.Errorf("bound to device %q, %v; want %q", device, err, test.device)
					}
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}
