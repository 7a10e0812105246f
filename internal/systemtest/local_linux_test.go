package systemtest_test

import (
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// A handle that has its socket for itself does not ask the system for its addresses, and so neither do its errors.
func TestAddressesWithoutAskingTheSystem(t *testing.T) {
	if os.Getenv(deniedVariable) == "" {
		runDenied(t, "getsockname,getpeername")
		return
	}
	peer := conntest.Loopback(t)
	bound := conntest.Loopback(t)
	dialed := conntest.Dial(t, peer)
	connected := conntest.Listen(t, "udp4", ":0")
	if err := connected.Connect(peer.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	conns := map[string]*datagram.Conn{"Listen": bound, "Dial": dialed, "Connect": connected}
	before := make(map[string]netip.AddrPort)
	for name, c := range conns {
		before[name] = c.LocalAddr()
	}
	if err := deny(unix.EPERM, unix.SYS_GETSOCKNAME, unix.SYS_GETPEERNAME); err != nil {
		testenv.Skip(t, err.Error())
	}
	for name, c := range conns {
		if local := c.LocalAddr(); local != before[name] || local.Addr() != conntest.Localhost4 {
			t.Errorf("%s: the local address was %v and is %v", name, before[name], local)
		}
	}
	conntest.CheckOpError(t, conntest.Err(bound.TrySend(datagram.Datagram{})), conntest.OpError{
		Op: "write", Network: "udp4", Source: before["Listen"], Is: syscall.EDESTADDRREQ,
	})
}

// What others may do to a socket beside the handle is asked for each time.
func TestAddressesThatOthersChange(t *testing.T) {
	peer := conntest.Loopback(t)
	to := &unix.SockaddrInet4{Port: int(peer.LocalAddr().Port()), Addr: conntest.Localhost4.As4()}
	for _, test := range []struct {
		name string
		// open returns a handle and what changes its socket.
		open func(t *testing.T) (*datagram.Conn, func(func(fd int) error))
	}{
		{"Open", func(t *testing.T) (*datagram.Conn, func(func(int) error)) {
			f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
			c := conntest.Open(t, f)
			if err := c.Bind(t.Context(), "udp4", "0.0.0.0:0"); err != nil {
				t.Fatal(err)
			}
			return c, func(do func(int) error) { conntest.OnFile(t, f, do) }
		}},
		{"File", func(t *testing.T) (*datagram.Conn, func(func(int) error)) {
			c := conntest.Listen(t, "udp4", ":0")
			f, err := c.File()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return c, func(do func(int) error) { conntest.OnFile(t, f, do) }
		}},
		{"SyscallConn", func(t *testing.T) (*datagram.Conn, func(func(int) error)) {
			c := conntest.Listen(t, "udp4", ":0")
			raw, err := c.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			return c, func(do func(int) error) { conntest.Control(t, raw, do) }
		}},
		{"WithControl", func(t *testing.T) (*datagram.Conn, func(func(int) error)) {
			var raw syscall.RawConn
			c := conntest.Listen(t, "udp4", ":0", datagram.WithControl(func(_, _ string, conn syscall.RawConn) error {
				raw = conn
				return nil
			}))
			return c, func(do func(int) error) { conntest.Control(t, raw, do) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, change := test.open(t)
			wildcard := c.LocalAddr()
			if !wildcard.Addr().IsUnspecified() || wildcard.Port() == 0 {
				t.Fatalf("bound to %v", wildcard)
			}
			change(func(fd int) error { return unix.Connect(fd, to) })
			connected := netip.AddrPortFrom(conntest.Localhost4, wildcard.Port())
			if local := c.LocalAddr(); local != connected {
				t.Errorf("somebody else has connected it: the local address is %v, want %v", local, connected)
			}
			conntest.CheckOpError(t, conntest.Err(c.TrySend(datagram.Datagram{})), conntest.OpError{
				Op: "write", Network: "udp4", Source: connected, Is: syscall.EDESTADDRREQ,
			})
			change(func(fd int) error {
				unspecified := unix.RawSockaddr{Family: unix.AF_UNSPEC}
				if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd),
					uintptr(unsafe.Pointer(&unspecified)), unsafe.Sizeof(unspecified)); errno != 0 {
					return errno
				}
				return nil
			})
			if local := c.LocalAddr(); local.IsValid() { // Linux forgets the port that it chose
				t.Errorf("somebody else has disconnected it: the local address is %v", local)
			}
		})
	}
}

// What the handle does itself shows at once.
func TestAddressesThatTheHandleChanges(t *testing.T) {
	peer := conntest.Loopback(t)
	c := conntest.Listen(t, "udp4", ":0")
	wildcard := c.LocalAddr()
	connected := netip.AddrPortFrom(conntest.Localhost4, wildcard.Port())
	for range 2 {
		if err := c.Connect(peer.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		if local := c.LocalAddr(); local != connected {
			t.Errorf("connected at %v, want %v", local, connected)
		}
		if err := c.Disconnect(); err != nil {
			t.Fatal(err)
		}
		if local := c.LocalAddr(); local != wildcard {
			t.Errorf("disconnected at %v, want %v", local, wildcard)
		}
	}
	opened := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0))
	conntest.TrySend(t, opened, datagram.To(peer.LocalAddr(), []byte("x")))
	if from := conntest.Expect(t, peer, "x").Addr.Port(); opened.LocalAddr().Port() != from || from == 0 {
		t.Errorf("after the first send the address is %v, want port %d", opened.LocalAddr(), from)
	}
	if text := fmt.Sprint(opened); text != "udp4 "+opened.LocalAddr().String() {
		t.Errorf("it calls itself %q", text)
	}
}
