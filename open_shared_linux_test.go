package datagram_test

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

// socketFile returns a new socket as a file, closed at the end of the test.
func socketFile(t *testing.T, domain, kind, protocol int) *os.File {
	t.Helper()
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		skip(t, os.NewSyscallError("socket", err).Error())
	}
	f := os.NewFile(uintptr(fd), "socket")
	t.Cleanup(func() { f.Close() })
	return f
}

// onFile runs f on the descriptor of a file, which keeps its mode.
func onFile(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = do(int(fd)) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

// openedConn returns a handle for a file.
func openedConn(t *testing.T, f *os.File, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	c, err := datagram.Open(f, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return endWithTest(t, c)
}

func TestOpenRefusesWhatIsNoDatagramSocket(t *testing.T) {
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
	closed := socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
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
		{"TCP", socketFile(t, unix.AF_INET, unix.SOCK_STREAM, 0), syscall.EPROTOTYPE},
		{"Unix stream", socketFile(t, unix.AF_UNIX, unix.SOCK_STREAM, 0), syscall.EPROTOTYPE},
	} {
		t.Run(test.name, func(t *testing.T) {
			descriptors := openDescriptors(t)
			c, err := datagram.Open(test.file)
			checkOpError(t, err, opShape{op: "open", network: "udp", is: test.want})
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
	f := socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	onFile(t, f, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback4.As4()}) })
	c := openedConn(t, f)
	local := c.LocalAddr()
	sender := boundConn(t, "udp4", "127.0.0.1:0")
	mustSend(t, sender, datagram.To(local, []byte("for the handle")))
	awaitPayload(t, c, "for the handle")

	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := openedConn(t, f) // the caller's file still is the socket
	if again.LocalAddr() != local {
		t.Errorf("the socket is bound to %v, was to %v", again.LocalAddr(), local)
	}
	// The handle works without the caller's file too.
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mustSend(t, sender, datagram.To(local, []byte("for the duplicate")))
	awaitPayload(t, again, "for the duplicate")
}

// The mode is shared, and the caller may make the socket block again.
func TestOpenSurvivesABlockingMode(t *testing.T) {
	f := socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	onFile(t, f, func(fd int) error { return unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback4.As4()}) })
	c := openedConn(t, f)
	onFile(t, f, func(fd int) error { return unix.SetNonblock(fd, false) })
	c.Recv()
	mustSend(t, c, datagram.To(c.LocalAddr(), []byte("x")))
	awaitPayload(t, c, "x")
	inTime(t, "StopRecv", func() {
		if err := c.StopRecv(); err != nil {
			t.Error(err)
		}
	})
	c.Recv()
	inTime(t, "Close", func() { c.Close() })
	awaitClosed(t, c.Done(), "the handle")
}

func TestOpenFindsTheStateOfTheSocket(t *testing.T) {
	needIPv6(t)
	server := boundConn(t, "udp", ":0")
	port := int(server.LocalAddr().Port())
	for _, test := range []struct {
		name    string
		domain  int
		only    int
		network string
		peer    unix.Sockaddr
	}{
		{"IPv4", unix.AF_INET, 0, "udp4", &unix.SockaddrInet4{Port: port, Addr: loopback4.As4()}},
		{"dual stack", unix.AF_INET6, 0, "udp", &unix.SockaddrInet6{Port: port, Addr: netip.AddrFrom16(loopback4.As16()).As16()}},
		{"IPv6", unix.AF_INET6, 1, "udp6", &unix.SockaddrInet6{Port: port, Addr: loopback6.As16()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := socketFile(t, test.domain, unix.SOCK_DGRAM, 0)
			if test.domain == unix.AF_INET6 {
				onFile(t, f, func(fd int) error {
					return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, test.only)
				})
			}
			unbound := openedConn(t, f)
			if unbound.LocalAddr().IsValid() || unbound.RemoteAddr().IsValid() {
				t.Errorf("a new socket has %v and %v", unbound.LocalAddr(), unbound.RemoteAddr())
			}
			onFile(t, f, func(fd int) error { return unix.Connect(fd, test.peer) })
			c := openedConn(t, f)
			local, remote := c.LocalAddr(), c.RemoteAddr()
			if remote.Port() != server.LocalAddr().Port() || remote.Addr() != local.Addr() || local.Addr().Is4In6() {
				t.Errorf("the connected socket has %v and %v", local, remote)
			}
			checkOpError(t, c.Connect(remote), opShape{
				op: "connect", network: test.network, source: local, addr: remote, is: syscall.EISCONN,
			})
			mustSend(t, c, datagram.Datagram{Payload: []byte("ask")})
			mustSend(t, server, awaitPayload(t, server, "ask").Reply([]byte("answer")))
			if d := awaitPayload(t, c, "answer"); d.Addr != remote || d.Reply(nil).Addr.IsValid() {
				t.Errorf("the answer of %v would be answered to %v", d.Addr, d.Reply(nil).Addr)
			}
		})
	}
}

// A socket that was opened unbound is bound by Bind, once.
func TestOpenUnboundThenBind(t *testing.T) {
	f := socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	c := openedConn(t, f)
	if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	before := stateOf(c)
	if before.local.Addr() != loopback4 || before.local.Port() == 0 {
		t.Errorf("bound to %v", before.local)
	}
	checkErrno(t, c.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EINVAL)
	checkUnchanged(t, c, before)

	// The wrong family and a taken port leave it unbound.
	other := openedConn(t, socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0))
	if err := other.Bind(t.Context(), "udp6", "[::1]:0"); err == nil {
		t.Error("an IPv4 socket was bound to ::1")
	}
	err := other.Bind(t.Context(), "udp4", before.local.String())
	checkOpError(t, err, opShape{op: "listen", network: "udp4", addr: before.local, is: syscall.EADDRINUSE})
	if other.LocalAddr().IsValid() {
		t.Errorf("a failed Bind left %v", other.LocalAddr())
	}
}

func TestOptionsApplyToOpenedSockets(t *testing.T) {
	f := socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	c := openedConn(t, f, datagram.WithTTL(9), datagram.WithBroadcast())
	if ttl, err := c.TTL(); err != nil || ttl != 9 {
		t.Errorf("the TTL is %d, %v", ttl, err)
	}
	if kernelOption(t, c, unix.SOL_SOCKET, unix.SO_BROADCAST) != 1 {
		t.Error("broadcast is off")
	}
	descriptors := openDescriptors(t)
	_, err := datagram.Open(f, datagram.WithIPv6Only())
	checkOpError(t, err, opShape{op: "open", network: "udp", is: syscall.EINVAL, text: "IPv6 only"})
	_, err = datagram.Open(f, datagram.WithControl(func(string, string, syscall.RawConn) error { return syscall.EPERM }))
	checkOpError(t, err, opShape{op: "open", network: "udp", is: syscall.EPERM})
	if now := openDescriptors(t); now != descriptors {
		t.Errorf("%d descriptors are open, before it were %d", now, descriptors)
	}
}

// What is shared stays as others know it: they may not be able to split what
// the kernel coalesces.
func TestOpenTurnsCoalescingOnOnlyWhenAskedTo(t *testing.T) {
	allOffloads(t)
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
		c := openedConn(t, socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0), test.opts...)
		if got := kernelOption(t, c, unix.SOL_UDP, unix.UDP_GRO); got != test.want {
			t.Errorf("%s: UDP_GRO is %d, want %d", test.name, got, test.want)
		}
	}
}

// Where it is on already the handle splits.
func TestOpenSplitsWhereCoalescingIsOn(t *testing.T) {
	f := socketFile(t, unix.AF_INET, unix.SOCK_DGRAM, 0)
	onFile(t, f, func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback4.As4()})
	})
	c := openedConn(t, f)
	sender := boundConn(t, "udp4", "127.0.0.1:0")
	var ds []datagram.Datagram
	for _, word := range []string{"aaaa", "bbbb", "cccc", "dd"} {
		ds = append(ds, datagram.To(c.LocalAddr(), []byte(word)))
	}
	if n, err := sender.TrySendBatch(ds); n != len(ds) || err != nil {
		t.Fatal(n, err)
	}
	for _, d := range ds {
		awaitPayload(t, c, string(d.Payload))
	}
}

// A file of the handle is a duplicate, as that of net.UDPConn.
func TestFileIsADuplicate(t *testing.T) {
	c := boundConn(t, "udp4", "127.0.0.1:0")
	local := c.LocalAddr()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := openedConn(t, f)
	if again.LocalAddr() != local {
		t.Errorf("the duplicate is bound to %v, want %v", again.LocalAddr(), local)
	}
	mustSend(t, again, datagram.To(local, []byte("still here")))
	awaitPayload(t, again, "still here")
}

// B7 of libuv: an opened IPv6 socket got the settings of IPv4.
func TestOpenedIPv6SocketHasItsSettings(t *testing.T) {
	for _, only := range []int{0, 1} {
		f := socketFile(t, unix.AF_INET6, unix.SOCK_DGRAM, 0)
		onFile(t, f, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
		})
		c := openedConn(t, f)
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
