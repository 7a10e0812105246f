package datagram_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

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

// What is more than an int of 32 bits can tell is not put together, also for a family whose limits only the system
// knows.
func TestUnixHugePayloads(t *testing.T) {
	if strconv.IntSize > 32 {
		t.Skip("an int can tell of more memory than there is")
	}
	ours, _ := socketPair(t)
	c, half := openedConn(t, ours), untouched(t, 1<<30)
	bufs := [][]byte{half, half}
	checkErrno(t, second(c.TrySendBuffers(datagram.Datagram{}, bufs)), syscall.EMSGSIZE)
	checkErrno(t, c.SendBuffers(t.Context(), datagram.Datagram{}, bufs, neverDone(t)), syscall.EMSGSIZE)
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
	if allocs != 0 && !raceEnabled { // which makes pools forget at random
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

// stuckConn returns a handle whose queue is full, as is its kernel.
func stuckConn(t *testing.T) *datagram.Conn {
	t.Helper()
	ours, _ := socketPair(t)
	c := openedConn(t, ours, datagram.WithSendQueue(1, 1<<20))
	var err error
	for err == nil {
		_, err = c.TrySend(datagram.Datagram{Payload: []byte("fill")})
	}
	if err := c.TryQueue(datagram.Datagram{Payload: []byte("queued")}); err != nil {
		t.Fatal(err)
	}
	return c
}

// B11: the queue had no bound, and a send no way to be given up.
func TestFullQueueWaitsForItsContext(t *testing.T) {
	c := stuckConn(t)
	before := stateOf(c)
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan error)
	go func() { refused <- c.Send(ctx, datagram.Datagram{Payload: []byte("x")}) }()
	select {
	case err := <-refused:
		t.Fatalf("Send into a full queue did not wait: %v", err)
	default:
	}
	cancel()
	if err := awaitValue(t, refused, "Send"); err != context.Canceled {
		t.Errorf("Send: %T, %v; want the bare error of its context", err, err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if err := c.Send(ctx, datagram.Datagram{Payload: []byte("x")}); err != context.DeadlineExceeded {
		t.Errorf("Send: %T, %v; want the bare error of its context", err, err)
	}
	checkUnchanged(t, c, before)
}

// Shutdown gives the queue until its context ends, and then closes at once.
func TestShutdownOfAStuckQueue(t *testing.T) {
	c := stuckConn(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	inTime(t, "Shutdown", func() {
		if err := c.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %T, %v; want the bare error of its context", err, err)
		}
	})
	awaitClosed(t, c.Done(), "the handle")
	if s := c.Stats(); s.Queued != 0 || s.SendErrors != 1 {
		t.Errorf("%d are queued, %d failed", s.Queued, s.SendErrors)
	}
}

// What comes with a datagram and finds no room is told, and the datagram arrives.
func TestControlWithoutRoom(t *testing.T) {
	told := make(chan error, 10)
	ours, theirs := socketPair(t)
	c := openedConn(t, ours, datagram.WithErrorHandler(func(err error) { told <- err }))
	raw, err := theirs.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) {
		many := slices.Repeat([]int{int(fd)}, 200)
		err = unix.Sendmsg(int(fd), []byte("x"), unix.UnixRights(many...), nil, 0)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	awaitPayload(t, c, "x")
	checkOpError(t, awaitValue(t, told, "an error"), opShape{op: "read", network: "unixgram"})
	if n := c.Stats().ReceiveErrors; n != 1 {
		t.Errorf("%d receive errors, want 1", n)
	}
}
