package datagram_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

// socketPair returns the ends of a connected pair of Unix datagram sockets.
func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() {
		ours.Close()
		theirs.Close()
	})
	return ours, theirs
}

// What a family does not have is unsupported, and its zero address is for the
// kernel to judge.
func TestOpenUnixSocket(t *testing.T) {
	ours, theirs := socketPair(t)
	c, peer := openedConn(t, ours), openedConn(t, theirs)
	for name, err := range map[string]error{
		"SetTTL":               c.SetTTL(9),
		"TTL":                  second(c.TTL()),
		"SetMulticastTTL":      c.SetMulticastTTL(9),
		"SetMulticastLoopback": c.SetMulticastLoopback(false),
		"JoinGroup":            c.JoinGroup(netip.MustParseAddr("239.255.7.7"), nil),
		"Connect":              c.Connect(netip.MustParseAddrPort("127.0.0.1:9")),
	} {
		if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Net != "unixgram" || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s of a Unix socket: %T, %v; want errors.ErrUnsupported", name, err, err)
		}
	}
	checkErrno(t, c.Bind(t.Context(), "udp4", "127.0.0.1:0"), syscall.EINVAL)
	if c.LocalAddr().IsValid() || c.RemoteAddr().IsValid() {
		t.Errorf("it has %v and %v", c.LocalAddr(), c.RemoteAddr())
	}
	mustSend(t, c, datagram.Datagram{Payload: []byte("there")})
	d := awaitPayload(t, peer, "there")
	if d.Addr.IsValid() || d.NetAddr() != nil {
		t.Errorf("an unnamed sender has %v, %v", d.Addr, d.NetAddr())
	}
	mustSend(t, peer, d.Reply([]byte("back")))
	awaitPayload(t, c, "back")

	lone := openedConn(t, socketFile(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0))
	_, err := lone.TrySend(datagram.Datagram{Payload: []byte("x")})
	checkOpError(t, err, opShape{op: "write", network: "unixgram", is: syscall.ENOTCONN})
	completed := make(chan error, 1)
	err = lone.SendFunc(t.Context(), datagram.Datagram{Payload: []byte("x")}, func(err error) { completed <- err })
	if err != nil {
		t.Fatalf("the package judged the zero address of a Unix socket: %v", err)
	}
	checkOpError(t, awaitValue(t, completed, "done"), opShape{op: "write", network: "unixgram", is: syscall.ENOTCONN})
}

// The kernel of a full Unix peer has no room: all that the package has to say
// of that comes bare.
func TestFullQueueErrorsComeBare(t *testing.T) {
	ours, _ := socketPair(t)
	c := openedConn(t, ours, datagram.WithSendQueue(3, 1<<20))
	d := datagram.Datagram{Payload: []byte("fill")}
	var err error
	for err == nil {
		_, err = c.TrySend(d)
	}
	if err != datagram.ErrWouldBlock {
		t.Fatalf("TrySend into a full kernel: %T, %v; want the bare ErrWouldBlock", err, err)
	}
	if n, err := c.TrySendBatch([]datagram.Datagram{d, d}); n != 0 || err != datagram.ErrWouldBlock {
		t.Errorf("TrySendBatch into a full kernel: %d, %T, %v", n, err, err)
	}
	completions := make(chan error, 3)
	for range 3 {
		if err := c.SendFunc(t.Context(), d, func(err error) { completions <- err }); err != nil {
			t.Fatal(err)
		}
	}
	before := stateOf(c)
	if err := c.TryQueue(d); err != datagram.ErrQueueFull {
		t.Errorf("TryQueue into a full queue: %T, %v; want the bare ErrQueueFull", err, err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if c.TryQueue(d) != datagram.ErrQueueFull || second(c.TrySend(d)) != datagram.ErrWouldBlock {
			t.Error("there is room")
		}
	})
	if allocs != 0 {
		t.Errorf("refusals allocate %v times", allocs)
	}
	checkUnchanged(t, c, before)
	if before.queueCount != 3 || before.queueSize != 3*len(d.Payload) || !before.active {
		t.Errorf("queued are %d datagrams of %d bytes", before.queueCount, before.queueSize)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		checkOpError(t, awaitValue(t, completions, "a completion"), opShape{op: "write", network: "unixgram", is: net.ErrClosed})
	}
}
