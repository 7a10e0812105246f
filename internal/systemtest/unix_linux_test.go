package systemtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// unixAt returns a handle to a Unix socket with a name, or without if it is empty.
func unixAt(t *testing.T, name string, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	f := conntest.SocketFile(t, unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	defer f.Close()
	if name != "" {
		// Package syscall takes the longest abstract name, x/sys does not.
		conntest.OnFile(t, f, func(fd int) error { return syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}) })
	}
	return conntest.Open(t, f, opts...)
}

func toUnix(name, payload string) datagram.Datagram {
	return datagram.ToNet(&net.UnixAddr{Name: name, Net: "unixgram"}, []byte(payload))
}

// abstract returns an abstract name that no other test has, of a length.
func abstract(t *testing.T, length int) string {
	name := fmt.Sprintf("@%d %s", os.Getpid(), t.Name())
	return name + strings.Repeat("x", max(0, length-len(name)))
}

func TestUnixPairOpened(t *testing.T) {
	a, b := conntest.UnixConns(t)
	conntest.Send(t, a, conntest.ToPeer("question"))
	question := conntest.Expect(t, b, "question")
	if addr := question.NetAddr(); addr != nil {
		t.Errorf("the unnamed sender is %v", addr)
	}
	conntest.Send(t, b, question.Reply([]byte("answer")))
	conntest.Expect(t, a, "answer")
	conntest.Send(t, a, conntest.ToPeer(""))
	conntest.Expect(t, b, "")
	if a.LocalAddr().IsValid() || a.RemoteAddr().IsValid() {
		t.Errorf("%v connected to %v", a.LocalAddr(), a.RemoteAddr())
	}
}

func TestUnixNamed(t *testing.T) {
	const longest = len(unix.RawSockaddrUnix{}.Path)
	for name, names := range map[string][2]string{
		"path":             {filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")},
		"abstract":         {abstract(t, 0) + "a", abstract(t, 0) + "b"},
		"longest abstract": {abstract(t, longest-1) + "a", abstract(t, longest-1) + "b"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := unixAt(t, names[0]), unixAt(t, names[1])
			conntest.Send(t, a, toUnix(names[1], "question"))
			question := conntest.Expect(t, b, "question")
			addr, ok := question.NetAddr().(*net.UnixAddr)
			if !ok || addr.Name != names[0] || addr.Net != "unixgram" {
				t.Errorf("question from %#v, want %q", question.NetAddr(), names[0])
			}
			conntest.Send(t, b, question.Reply([]byte("answer")))
			conntest.Expect(t, a, "answer")
			conntest.Send(t, b, datagram.ToNet(question.NetAddr(), []byte("once more")))
			if n, err := b.TrySend(datagram.ToNet(question.NetAddr(), []byte("at once"))); n != len("at once") || err != nil {
				t.Errorf("TrySend: %d, %v", n, err)
			}
			conntest.Expect(t, a, "once more")
			conntest.Expect(t, a, "at once")
		})
	}
}

func TestUnixErrors(t *testing.T) {
	dir := t.TempDir()
	a := unixAt(t, "")
	path := filepath.Join(dir, "b")
	b := unixAt(t, path)
	conntest.Send(t, a, toUnix(path, "question"))
	question := conntest.Expect(t, b, "question")
	// There is nobody to answer: the system says so, since other sockets than UDP may be connected.
	if err := conntest.Outcome(t, b, question.Reply(nil)); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("reply to an unnamed sender: %v, want ENOTCONN", err)
	}
	if err := conntest.Outcome(t, a, toUnix(filepath.Join(dir, "nowhere"), "x")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("to a name that does not exist: %v, want ENOENT", err)
	}
	if err := conntest.Outcome(t, a, toUnix(strings.Repeat("x", 200), "x")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("to a name that is too long: %v, want EINVAL", err)
	}
	b.Close()
	if err := conntest.Outcome(t, a, toUnix(path, "x")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("to a closed socket: %v, want ECONNREFUSED", err)
	}
	var address *net.OpError
	if err := conntest.Outcome(t, a, toUnix(path, "x")); !errors.As(err, &address) || address.Net != "unixgram" || address.Addr.String() != path {
		t.Errorf("the error is %#v", err)
	}
}

func TestUnixLargeDatagram(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789"), 15_000)
	for _, limit := range []int{0, len(large), len(large) - 1} {
		opts := []datagram.Option{datagram.WithWriteBuffer(1 << 20)}
		want := 65_535
		if limit > 0 {
			want = limit
			opts = append(opts, datagram.WithMaxDatagramSize(limit))
		}
		a, b := conntest.UnixConns(t, opts...)
		conntest.Send(t, a, datagram.Datagram{Payload: large})
		conntest.Send(t, a, conntest.ToPeer("small"))
		d := conntest.Next(t, b)
		if !bytes.Equal(d.Payload, large[:want]) || d.Partial != (want < len(large)) {
			t.Errorf("limit %d: received %d bytes, partial %v; want %d", limit, len(d.Payload), d.Partial, want)
		}
		if small := conntest.Expect(t, b, "small"); small.Partial {
			t.Error("the small one is partial")
		}
	}
}

// A Unix socket pushes back where UDP drops.
func TestUnixFullPeer(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprint("connected ", connected), func(t *testing.T) {
			var a, b *datagram.Conn
			next := conntest.ToPeer
			if connected {
				a, b = conntest.UnixConns(t)
			} else {
				name := abstract(t, 0)
				a, b = unixAt(t, ""), unixAt(t, name)
				next = func(payload string) datagram.Datagram { return toUnix(name, payload) }
			}
			sent := 0
			for {
				_, err := a.TrySend(next(fmt.Sprint(sent)))
				if errors.Is(err, datagram.ErrWouldBlock) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				sent++
			}
			const queued = 50
			for i := range queued {
				if err := a.Send(t.Context(), next(fmt.Sprint(sent+i))); err != nil {
					t.Fatal(err)
				}
			}
			// Nothing can happen, and nothing may be spent on finding that out.
			const span = 300 * time.Millisecond
			before := processorTime(t)
			<-time.After(span)
			if spent := processorTime(t) - before; spent > span/3 {
				t.Errorf("waiting took %v of %v", spent, span)
			}
			if n := a.SendQueueCount(); n != queued {
				t.Errorf("%d are queued, want %d", n, queued)
			}
			if _, err := a.TrySend(next("overtaking")); !errors.Is(err, datagram.ErrWouldBlock) {
				t.Errorf("with others before it: %v", err)
			}
			for i := range sent + queued {
				conntest.Expect(t, b, fmt.Sprint(i))
			}
			if err := a.Flush(await.Context(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// processorTime is what the process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// A peer may send descriptors that nobody asked for, more than there is room to learn of.
func TestUnixForeignDescriptors(t *testing.T) {
	for _, count := range []int{1, 5, 253} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			ours, theirs := conntest.UnixFiles(t)
			c := conntest.Open(t, ours, datagram.WithErrorHandler(func(error) {}))
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			sendFiles(t, theirs, "take these", writer, count, 3)
			for range 3 {
				conntest.Expect(t, c, "take these")
			}
			if errs, cut := c.Stats().ReceiveErrors, count == 253; cut != (errs == 3) || !cut && errs != 0 {
				t.Errorf("%d receive errors", errs) // one for each that was too long for its control messages
			}
			// The pipe ends when nobody has its other end any more.
			writer.Close()
			if err := reader.SetReadDeadline(time.Now().Add(await.Limit)); err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("a descriptor was kept: %v", err)
			}
		})
	}
}

// What a handler sends, which it does by itself, stays queued in its place where there is no room. TestCallerFindsNoRoom
// of internal/send looks at who sends.
func TestHandlerFindsNoRoom(t *testing.T) {
	a, b := conntest.UnixConns(t)
	const count = 1000 // within the queue's bound
	filled := 0        // the peer's queue holds 11 by default (unix(7), max_dgram_qlen)
	for {
		_, err := a.TrySend(conntest.ToPeer(strconv.Itoa(filled)))
		if errors.Is(err, datagram.ErrWouldBlock) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		filled++
	}
	conntest.TrySend(t, b, conntest.ToPeer("question"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := a.Serve(ctx, func(datagram.Datagram) {
		defer stop()
		for i := range count {
			if err := a.Send(ctx, conntest.ToPeer(strconv.Itoa(filled+i))); err != nil {
				t.Error(err)
			}
		}
		if got := a.SendQueueCount(); got != count {
			t.Errorf("%d are queued, want %d", got, count)
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for i := range filled + count {
		conntest.Expect(t, b, strconv.Itoa(i)).Release()
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	conntest.CheckLedger(t, a.Stats())
}

// What a family does not have is unsupported, and its zero address is for the
// kernel to judge.
func TestOpenUnixSocket(t *testing.T) {
	ours, theirs := conntest.UnixFiles(t)
	c, peer := conntest.Open(t, ours), conntest.Open(t, theirs)
	for name, err := range map[string]error{
		"SetTTL":               c.SetTTL(9),
		"TTL":                  conntest.Err(c.TTL()),
		"SetMulticastTTL":      c.SetMulticastTTL(9),
		"SetMulticastLoopback": c.SetMulticastLoopback(false),
		"JoinGroup":            c.JoinGroup(netip.MustParseAddr("239.255.7.7"), nil),
		"Connect":              c.Connect(netip.MustParseAddrPort("127.0.0.1:9")),
	} {
		if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Net != "unixgram" || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s of a Unix socket: %T, %v; want errors.ErrUnsupported", name, err, err)
		}
	}
	err := c.Bind(t.Context(), "udp4", "127.0.0.1:0")
	conntest.CheckErrno(t, err, syscall.EINVAL)
	if err == nil || !strings.Contains(err.Error(), "another family") {
		t.Errorf("Bind of a Unix socket: %v", err)
	}
	if c.LocalAddr().IsValid() || c.RemoteAddr().IsValid() {
		t.Errorf("it has %v and %v", c.LocalAddr(), c.RemoteAddr())
	}
	conntest.TrySend(t, c, conntest.ToPeer("there"))
	d := conntest.Expect(t, peer, "there")
	if d.Addr.IsValid() || d.NetAddr() != nil {
		t.Errorf("an unnamed sender has %v, %v", d.Addr, d.NetAddr())
	}
	conntest.TrySend(t, peer, d.Reply([]byte("back")))
	conntest.Expect(t, c, "back")

	lone := conntest.Open(t, conntest.SocketFile(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0))
	_, err = lone.TrySend(conntest.ToPeer("x"))
	conntest.CheckOpError(t, err, conntest.OpError{Op: "write", Network: "unixgram", Is: syscall.ENOTCONN})
	completed := make(chan error, 1)
	err = lone.SendFunc(t.Context(), conntest.ToPeer("x"), func(err error) { completed <- err })
	if err != nil {
		t.Fatalf("the package judged the zero address of a Unix socket: %v", err)
	}
	conntest.CheckOpError(t, await.Value(t, "done", completed), conntest.OpError{Op: "write", Network: "unixgram", Is: syscall.ENOTCONN})
}

// What is more than an int of 32 bits can tell is not put together, also for a family whose limits only the system
// knows.
func TestUnixHugePayloads(t *testing.T) {
	if strconv.IntSize > 32 {
		t.Skip("an int can tell of more memory than there is")
	}
	ours, _ := conntest.UnixFiles(t)
	c, half := conntest.Open(t, ours), conntest.Untouched(t, 1<<30)
	bufs := [][]byte{half, half}
	conntest.CheckErrno(t, conntest.Err(c.TrySendBuffers(datagram.Datagram{}, bufs)), syscall.EMSGSIZE)
	conntest.CheckErrno(t, c.SendBuffers(t.Context(), datagram.Datagram{}, bufs, conntest.NeverDone(t)), syscall.EMSGSIZE)
}

// The kernel of a full Unix peer has no room: all that the package has to say
// of that comes bare.
func TestFullQueueErrorsComeBare(t *testing.T) {
	ours, _ := conntest.UnixFiles(t)
	c := conntest.Open(t, ours, datagram.WithSendQueue(3, 1<<20))
	d := conntest.ToPeer("fill")
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
	before := conntest.StateOf(c)
	if err := c.TryQueue(d); err != datagram.ErrQueueFull {
		t.Errorf("TryQueue into a full queue: %T, %v; want the bare ErrQueueFull", err, err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		if c.TryQueue(d) != datagram.ErrQueueFull || conntest.Err(c.TrySend(d)) != datagram.ErrWouldBlock {
			t.Error("there is room")
		}
	})
	if allocs != 0 && !testenv.RaceEnabled { // which makes pools forget at random
		t.Errorf("refusals allocate %v times", allocs)
	}
	conntest.CheckUnchanged(t, c, before)
	if before.QueueCount != 3 || before.QueueSize != 3*len(d.Payload) || !before.Active {
		t.Errorf("queued are %d datagrams of %d bytes", before.QueueCount, before.QueueSize)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		conntest.CheckOpError(t, await.Value(t, "a completion", completions), conntest.OpError{Op: "write", Network: "unixgram", Is: net.ErrClosed})
	}
}

// stuckConn returns a handle whose queue is full, as is its kernel.
func stuckConn(t *testing.T) *datagram.Conn {
	t.Helper()
	c, _, _ := conntest.Stalled(t, datagram.WithSendQueue(1, 1<<20))
	if err := c.TryQueue(conntest.ToPeer("queued")); err != nil {
		t.Fatal(err)
	}
	return c
}

// B11: the queue had no bound, and a send no way to be given up.
func TestFullQueueWaitsForItsContext(t *testing.T) {
	c := stuckConn(t)
	before := conntest.StateOf(c)
	ctx, cancel := context.WithCancel(t.Context())
	refused := make(chan error)
	go func() { refused <- c.Send(ctx, conntest.ToPeer("x")) }()
	select {
	case err := <-refused:
		t.Fatalf("Send into a full queue did not wait: %v", err)
	default:
	}
	cancel()
	if err := await.Value(t, "Send", refused); err != context.Canceled {
		t.Errorf("Send: %T, %v; want the bare error of its context", err, err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if err := c.Send(ctx, conntest.ToPeer("x")); err != context.DeadlineExceeded {
		t.Errorf("Send: %T, %v; want the bare error of its context", err, err)
	}
	conntest.CheckUnchanged(t, c, before)
}

// Shutdown gives the queue until its context ends, and then closes at once.
func TestShutdownOfAStuckQueue(t *testing.T) {
	c := stuckConn(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	await.Return(t, "Shutdown", func() {
		if err := c.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %T, %v; want the bare error of its context", err, err)
		}
	})
	await.Closed(t, "the handle", c.Done())
	if s := c.Stats(); s.Queued != 0 || s.SendErrors != 1 {
		t.Errorf("%d are queued, %d failed", s.Queued, s.SendErrors)
	}
}

// sendFiles sends a payload several times, each with many copies of a file.
func sendFiles(t *testing.T, from *os.File, payload string, file *os.File, copies, times int) {
	t.Helper()
	conntest.OnFile(t, file, func(fd int) error {
		rights := unix.UnixRights(slices.Repeat([]int{fd}, copies)...)
		conntest.OnFile(t, from, func(socket int) error {
			for range times {
				if err := unix.Sendmsg(socket, []byte(payload), rights, nil, 0); err != nil {
					return err
				}
			}
			return nil
		})
		return nil
	})
}

// What comes with a datagram and finds no room is told, and the datagram arrives.
func TestControlWithoutRoom(t *testing.T) {
	told := make(chan error, 10)
	ours, theirs := conntest.UnixFiles(t)
	c := conntest.Open(t, ours, datagram.WithErrorHandler(func(err error) { told <- err }))
	sendFiles(t, theirs, "x", ours, 200, 1)
	conntest.Expect(t, c, "x")
	conntest.CheckOpError(t, await.Value(t, "an error", told), conntest.OpError{Op: "read", Network: "unixgram"})
	if n := c.Stats().ReceiveErrors; n != 1 {
		t.Errorf("%d receive errors, want 1", n)
	}
}
