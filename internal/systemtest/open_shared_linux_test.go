package systemtest_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

func TestOpenRefuses(t *testing.T) {
	regular, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{regular, read, write, null} {
		t.Cleanup(func() { f.Close() })
	}
	closed := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	closed.Close()
	for _, test := range []struct {
		name string
		file *os.File
		want error
	}{
		{"nil", nil, syscall.EINVAL},
		{"closed", closed, net.ErrClosed},
		{"regular file", regular, syscall.ENOTSOCK},
		{"directory", openDirectory(t), syscall.ENOTSOCK},
		{"pipe to read", read, syscall.ENOTSOCK},
		{"pipe to write", write, syscall.ENOTSOCK},
		{"device", null, syscall.ENOTSOCK},
		{"TCP", conntest.SocketFile(t, unix.AF_INET, unix.SOCK_STREAM, 0), syscall.EPROTOTYPE},
		{"Unix stream", conntest.SocketFile(t, unix.AF_UNIX, unix.SOCK_STREAM, 0), syscall.EPROTOTYPE},
		{"Unix seqpacket", conntest.SocketFile(t, unix.AF_UNIX, unix.SOCK_SEQPACKET, 0), syscall.EPROTOTYPE},
	} {
		t.Run(test.name, func(t *testing.T) {
			descriptors := openDescriptors(t)
			c, err := datagram.Open(test.file)
			conntest.CheckOpError(t, err, conntest.OpError{Op: "open", Network: "udp", Is: test.want})
			if c != nil {
				t.Error("there is a handle beside the error")
			}
			if now := openDescriptors(t); now != descriptors {
				t.Errorf("%d descriptors are open, before it were %d", now, descriptors)
			}
			if test.want == net.ErrClosed || test.file == nil {
				return
			}
			if _, err := test.file.Stat(); err != nil {
				t.Errorf("the caller's file is not usable any more: %v", err)
			}
			if err := test.file.Close(); err != nil {
				t.Errorf("the caller's file was closed: %v", err)
			}
			if c, err := datagram.Open(test.file); c != nil || !errors.Is(err, net.ErrClosed) {
				t.Errorf("a closed file opened: %v, %v", c, err)
			}
		})
	}
}

func openDirectory(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestOpenLeavesTheCallersFileOpen(t *testing.T) {
	f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, f, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: conntest.Localhost4.As4()}) })
	c := conntest.Open(t, f)
	local := c.LocalAddr()
	sender := conntest.Loopback(t)
	conntest.TrySend(t, sender, datagram.To(local, []byte("for the handle")))
	conntest.Expect(t, c, "for the handle")

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := conntest.Open(t, f) // the caller's file still is the socket
	if again.LocalAddr() != local {
		t.Errorf("the socket is bound to %v, was to %v", again.LocalAddr(), local)
	}
	// The handle works without the caller's file too.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	conntest.TrySend(t, sender, datagram.To(local, []byte("for the duplicate")))
	conntest.Expect(t, again, "for the duplicate")
}

// The mode is shared, and the caller may make the socket block again.
func TestOpenSurvivesABlockingMode(t *testing.T) {
	bound := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, bound, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: conntest.Localhost4.As4()}) })
	udp := conntest.Open(t, bound)
	pair, peer := conntest.UnixConns(t)
	shared, err := pair.File()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	for name, test := range map[string]struct {
		file *os.File
		c    *datagram.Conn
		send func()
	}{
		"UDP":  {bound, udp, func() { conntest.TrySend(t, udp, datagram.To(udp.LocalAddr(), []byte("x"))) }},
		"Unix": {shared, pair, func() { conntest.Send(t, peer, conntest.ToPeer("x")) }},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.c
			conntest.OnFile(t, test.file, func(fd int) error { return unix.SetNonblock(fd, false) })
			received := c.Recv()
			test.send()
			conntest.Expect(t, c, "x")
			if name == "Unix" { // which pushes back
				await.Return(t, "TrySend into a full socket", func() {
					var err error
					for err == nil {
						_, err = c.TrySend(conntest.ToPeer("x"))
					}
					if !errors.Is(err, datagram.ErrWouldBlock) {
						t.Errorf("TrySend: %v, want ErrWouldBlock", err)
					}
				})
			}
			await.Return(t, "StopRecv", func() {
				if err := c.StopRecv(); err != nil {
					t.Error(err)
				}
			})
			await.Closed(t, "the channel", received)
			c.Recv()
			await.Return(t, "Close", func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
			await.Closed(t, "the handle", c.Done())
		})
	}
}

func TestOpenFindsTheStateOfTheSocket(t *testing.T) {
	testenv.NeedIPv6(t)
	server := conntest.Listen(t, "udp", ":0")
	port := int(server.LocalAddr().Port())
	for _, test := range []struct {
		name    string
		domain  int
		only    int
		network string
		peer    unix.Sockaddr
	}{
		{"IPv4", unix.AF_INET, 0, "udp4", &unix.SockaddrInet4{Port: port, Addr: conntest.Localhost4.As4()}},
		{"dual stack", unix.AF_INET6, 0, "udp", &unix.SockaddrInet6{Port: port, Addr: netip.AddrFrom16(conntest.Localhost4.As16()).As16()}},
		{"IPv6", unix.AF_INET6, 1, "udp6", &unix.SockaddrInet6{Port: port, Addr: conntest.Localhost6.As16()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := conntest.SocketFile(t, test.domain, unix.SOCK_DGRAM, 0)
			if test.domain == unix.AF_INET6 {
				conntest.OnFile(t, f, func(fd int) error {
					return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, test.only)
				})
			}
			unbound := conntest.Open(t, f)
			if unbound.LocalAddr().IsValid() || unbound.RemoteAddr().IsValid() {
				t.Errorf("a new socket has %v and %v", unbound.LocalAddr(), unbound.RemoteAddr())
			}
			conntest.OnFile(t, f, func(fd int) error { return unix.Connect(fd, test.peer) })
			c := conntest.Open(t, f)
			local, remote := c.LocalAddr(), c.RemoteAddr()
			if remote.Port() != server.LocalAddr().Port() || remote.Addr() != local.Addr() || local.Addr().Is4In6() {
				t.Errorf("the connected socket has %v and %v", local, remote)
			}
			conntest.CheckOpError(t, c.Connect(remote), conntest.OpError{
				Op: "connect", Network: test.network, Source: local, Addr: remote, Is: syscall.EISCONN,
			})
			conntest.TrySend(t, c, datagram.Datagram{Payload: []byte("ask")})
			conntest.TrySend(t, server, conntest.Expect(t, server, "ask").Reply([]byte("answer")))
			if d := conntest.Expect(t, c, "answer"); d.Addr != remote || d.Reply(nil).Addr.IsValid() {
				t.Errorf("the answer of %v would be answered to %v", d.Addr, d.Reply(nil).Addr)
			}
		})
	}
}

// A socket that was opened unbound is bound by Bind, once.
func TestOpenUnboundThenBind(t *testing.T) {
	f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	c := conntest.Open(t, f)
	if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	before := conntest.StateOf(c)
	if before.Local.Addr() != conntest.Localhost4 || before.Local.Port() == 0 {
		t.Errorf("bound to %v", before.Local)
	}
	conntest.CheckErrno(t, c.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EINVAL)
	conntest.CheckUnchanged(t, c, before)

	// The wrong family and a taken port leave it unbound.
	other := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0))
	if err := other.Bind(t.Context(), "udp6", "[::1]:0"); err == nil {
		t.Error("an IPv4 socket was bound to ::1")
	}
	err := other.Bind(t.Context(), "udp4", before.Local.String())
	conntest.CheckOpError(t, err, conntest.OpError{Op: "listen", Network: "udp4", Addr: before.Local, Is: syscall.EADDRINUSE})
	if other.LocalAddr().IsValid() {
		t.Errorf("a failed Bind left %v", other.LocalAddr())
	}
}

func TestOptionsApplyToOpenedSockets(t *testing.T) {
	f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	c := conntest.Open(t, f, datagram.WithTTL(9), datagram.WithBroadcast())
	if ttl, err := c.TTL(); err != nil || ttl != 9 {
		t.Errorf("the TTL is %d, %v", ttl, err)
	}
	if kernelOption(t, c, unix.SOL_SOCKET, unix.SO_BROADCAST) != 1 {
		t.Error("broadcast is off")
	}
	descriptors := openDescriptors(t)
	_, err := datagram.Open(f, datagram.WithIPv6Only())
	conntest.CheckOpError(t, err, conntest.OpError{Op: "open", Network: "udp", Is: syscall.EINVAL, Text: "IPv6 only"})
	_, err = datagram.Open(f, datagram.WithControl(func(string, string, syscall.RawConn) error { return syscall.EPERM }))
	conntest.CheckOpError(t, err, conntest.OpError{Op: "open", Network: "udp", Is: syscall.EPERM})
	if now := openDescriptors(t); now != descriptors {
		t.Errorf("%d descriptors are open, before it were %d", now, descriptors)
	}
}

// An error of Open names what the file is.
func TestOpenNamesTheNetwork(t *testing.T) {
	refuse := datagram.WithControl(func(string, string, syscall.RawConn) error { return syscall.EPERM })
	for _, test := range []struct {
		network                string
		domain, kind, protocol int
		opt                    datagram.Option
		want                   error
	}{
		{"unixgram", unix.AF_UNIX, unix.SOCK_DGRAM, 0, datagram.WithTTL(3), errors.ErrUnsupported},
		{"unixgram", unix.AF_UNIX, unix.SOCK_DGRAM, 0, datagram.WithNetworkErrors(), errors.ErrUnsupported},
		{"unixgram", unix.AF_UNIX, unix.SOCK_DGRAM, 0, refuse, syscall.EPERM},
		{"socket", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, datagram.WithTTL(3), errors.ErrUnsupported},
		{"ip", unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP, refuse, syscall.EPERM},
		{"udp", unix.AF_INET, unix.SOCK_DGRAM, 0, refuse, syscall.EPERM},
		{"udp", unix.AF_INET6, unix.SOCK_DGRAM, 0, refuse, syscall.EPERM},
	} {
		t.Run(test.network, func(t *testing.T) {
			f := conntest.SocketFile(t, test.domain, test.kind, test.protocol)
			_, err := datagram.Open(f, test.opt)
			conntest.CheckOpError(t, err, conntest.OpError{Op: "open", Network: test.network, Is: test.want})
		})
	}
}

// What is shared stays as others know it: they may not be able to split what
// the kernel coalesces.
func TestOpenTurnsCoalescingOnOnlyWhenAskedTo(t *testing.T) {
	testenv.AllOffloads(t)
	for _, test := range []struct {
		name string
		opts []datagram.Option
		want int
	}{
		{"by default", nil, 0},
		{"asked for none", []datagram.Option{datagram.WithOffload(datagram.OffloadNone)}, 0},
		{"asked for batches", []datagram.Option{datagram.WithOffload(datagram.OffloadBatch)}, 0},
		{"asked for all", []datagram.Option{datagram.WithOffload(datagram.OffloadAll)}, 1},
	} {
		c := conntest.Open(t, conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0), test.opts...)
		if got := kernelOption(t, c, unix.SOL_UDP, unix.UDP_GRO); got != test.want {
			t.Errorf("%s: UDP_GRO is %d, want %d", test.name, got, test.want)
		}
	}
}

// Where it is on already the handle splits.
func TestOpenSplitsWhereCoalescingIsOn(t *testing.T) {
	f := conntest.SocketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	conntest.OnFile(t, f, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: conntest.Localhost4.As4()})
	})
	c := conntest.Open(t, f)
	sender := conntest.Loopback(t)
	var ds []datagram.Datagram
	for _, word := range []string{"aaaa", "bbbb", "cccc", "dd"} {
		ds = append(ds, datagram.To(c.LocalAddr(), []byte(word)))
	}
	if n, err := sender.TrySendBatch(ds); n != len(ds) || err != nil {
		t.Fatal(n, err)
	}
	for _, d := range ds {
		conntest.Expect(t, c, string(d.Payload))
	}
}

// A file of the handle is a duplicate, as that of net.UDPConn.
func TestFileIsADuplicate(t *testing.T) {
	c := conntest.Loopback(t)
	local := c.LocalAddr()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := conntest.Open(t, f)
	if again.LocalAddr() != local {
		t.Errorf("the duplicate is bound to %v, want %v", again.LocalAddr(), local)
	}
	conntest.TrySend(t, again, datagram.To(local, []byte("still here")))
	conntest.Expect(t, again, "still here")
}

// TestStoppedHandleLeavesTheRest receives on two handles of one socket in turn. What arrives after one has stopped is
// the other's.
func TestStoppedHandleLeavesTheRest(t *testing.T) {
	c := conntest.Loopback(t)
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sender := conntest.SocketTo(t, c)
	handles := []*datagram.Conn{c, conntest.Open(t, f)}
	for i := range 100 {
		receiving := handles[i%2]
		ch := receiving.Recv()
		conntest.WriteNumbers(t, sender, i, i+1)
		conntest.ExpectNumbers(t, ch, i, i+1)
		conntest.ExpectError(t, "StopRecv", receiving.StopRecv(), nil)
	}
}

// B7 of libuv: an opened IPv6 socket got the settings of IPv4.
func TestOpenedIPv6SocketHasItsSettings(t *testing.T) {
	for _, only := range []int{0, 1} {
		f := conntest.SocketFile(t, unix.AF_INET6, unix.SOCK_DGRAM, 0)
		conntest.OnFile(t, f, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
		})
		c := conntest.Open(t, f)
		for _, s := range familySettings {
			if s.set == nil {
				continue
			}
			if err := s.set(c); err != nil {
				t.Fatal(err)
			}
			if got := kernelOption(t, c, unix.IPPROTO_IPV6, s.option6); got != s.want {
				t.Errorf("%s, IPv6 only %d: %d for IPv6, want %d", s.name, only, got, s.want)
			}
			if got := kernelOption(t, c, unix.IPPROTO_IP, s.option4); only == 0 && got != s.want {
				t.Errorf("%s of a dual-stack socket: %d for IPv4, want %d", s.name, got, s.want)
			}
		}
	}
}
