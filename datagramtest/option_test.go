package datagramtest_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// Faults strike a handle on a network whatever the order of the options.
func TestOptionOrder(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		faults := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpSend, Times: 2, Err: syscall.EPERM})
		for _, opts := range [][]datagram.Option{{faults.Option(), w.Option()}, {w.Option(), faults.Option()}} {
			c := w.conn(datagram.Listen(w.Context(), "udp", "10.0.0.1:0", opts...))
			if _, err := c.TrySend(datagram.To(c.LocalAddr(), nil)); !errors.Is(err, syscall.EPERM) {
				t.Errorf("struck by %v", err)
			}
		}
	})
}

// Faults strike a handle that was opened from a file, which is not on a simulated network.
func TestOptionsOfOpen(t *testing.T) {
	system, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer system.Close()
	f, err := system.File()
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	n := datagramtest.NewNetwork(1, datagramtest.Link{})
	defer n.Close()
	if _, err := datagram.Open(f, n.Option()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("on a simulated network: %v", err)
	}
	faults := datagramtest.NewFaults(1,
		datagramtest.Fault{Op: datagramtest.OpListen, Err: syscall.EMFILE},
		datagramtest.Fault{Op: datagramtest.OpSend, Err: syscall.EPERM},
	)
	if _, err := datagram.Open(f, faults.Option()); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("opened with %v", err)
	}
	c, err := datagram.Open(f, faults.Option())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.TrySend(datagram.To(c.LocalAddr(), nil)); !errors.Is(err, syscall.EPERM) {
		t.Errorf("struck by %v", err)
	}
}

// The network never uses the system's resolver.
func TestNames(t *testing.T) {
	resolver := net.DefaultResolver
	defer func() { net.DefaultResolver = resolver }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("a name was looked up")
		return nil, errors.ErrUnsupported
	}}
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		for name, open := range map[string]func(network, address string) (*datagram.Conn, error){
			"Listen": func(network, address string) (*datagram.Conn, error) {
				return w.Listen(w.Context(), network, address)
			},
			"Dial": func(network, address string) (*datagram.Conn, error) {
				return w.Dial(w.Context(), network, address)
			},
		} {
			var unknown *net.DNSError
			if _, err := open("udp", "server.example:53"); !errors.As(err, &unknown) || !unknown.IsNotFound {
				t.Errorf("%s by name: %v", name, err)
			}
			for network, want := range map[string]string{"udp": "127.0.0.1", "udp6": "::1"} {
				if c := w.conn(open(network, "localhost:53")); c.LocalAddr().Addr() != netip.MustParseAddr(want) {
					t.Errorf("%s of localhost on %s: %v", name, network, c.LocalAddr())
				}
			}
			var unsuitable *net.AddrError
			if _, err := open("udp6", "10.0.0.1:53"); !errors.As(err, &unsuitable) {
				t.Errorf("%s of an address of the other family: %v", name, err)
			}
		}
	})
}
