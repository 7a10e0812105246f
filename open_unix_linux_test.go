package datagram_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/netns"
)

// unixEnds returns the two ends of a socket pair.
func unixEnds(t *testing.T, opts ...datagram.Option) (*datagram.Conn, *datagram.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var c [2]*datagram.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c[i] = openFile(t, f, opts...)
		f.Close()
	}
	return c[0], c[1]
}

// unixAt returns a handle to a Unix socket with a name, or without if it is empty.
func unixAt(t *testing.T, name string, opts ...datagram.Option) *datagram.Conn {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "unix")
	defer f.Close()
	if name != "" {
		// Package syscall takes the longest abstract name, x/sys does not.
		onDescriptor(t, f, func(fd int) error { return syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}) })
	}
	return openFile(t, f, opts...)
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
	a, b := unixEnds(t)
	push(t, a, unnamed("question"))
	question := wantNext(t, b, "question")
	if addr := question.NetAddr(); addr != nil {
		t.Errorf("the unnamed sender is %v", addr)
	}
	push(t, b, question.Reply([]byte("answer")))
	wantNext(t, a, "answer")
	push(t, a, unnamed(""))
	wantNext(t, b, "")
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
			push(t, a, toUnix(names[1], "question"))
			question := wantNext(t, b, "question")
			addr, ok := question.NetAddr().(*net.UnixAddr)
			if !ok || addr.Name != names[0] || addr.Net != "unixgram" {
				t.Errorf("question from %#v, want %q", question.NetAddr(), names[0])
			}
			push(t, b, question.Reply([]byte("answer")))
			wantNext(t, a, "answer")
			push(t, b, datagram.ToNet(question.NetAddr(), []byte("once more")))
			if n, err := b.TrySend(datagram.ToNet(question.NetAddr(), []byte("at once"))); n != len("at once") || err != nil {
				t.Errorf("TrySend: %d, %v", n, err)
			}
			wantNext(t, a, "once more")
			wantNext(t, a, "at once")
		})
	}
}

func TestUnixErrors(t *testing.T) {
	dir := t.TempDir()
	a := unixAt(t, "")
	path := filepath.Join(dir, "b")
	b := unixAt(t, path)
	push(t, a, toUnix(path, "question"))
	question := wantNext(t, b, "question")
	// There is nobody to answer: the system says so, since other sockets than UDP may be connected.
	if err := pushed(t, b, question.Reply(nil)); !errors.Is(err, syscall.ENOTCONN) {
		t.Errorf("reply to an unnamed sender: %v, want ENOTCONN", err)
	}
	if err := pushed(t, a, toUnix(filepath.Join(dir, "nowhere"), "x")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("to a name that does not exist: %v, want ENOENT", err)
	}
	if err := pushed(t, a, toUnix(strings.Repeat("x", 200), "x")); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("to a name that is too long: %v, want EINVAL", err)
	}
	b.Close()
	if err := pushed(t, a, toUnix(path, "x")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("to a closed socket: %v, want ECONNREFUSED", err)
	}
	var address *net.OpError
	if err := pushed(t, a, toUnix(path, "x")); !errors.As(err, &address) || address.Net != "unixgram" || address.Addr.String() != path {
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
		a, b := unixEnds(t, opts...)
		push(t, a, datagram.Datagram{Payload: large})
		push(t, a, unnamed("small"))
		d := pull(t, b)
		if !bytes.Equal(d.Payload, large[:want]) || d.Partial != (want < len(large)) {
			t.Errorf("limit %d: received %d bytes, partial %v; want %d", limit, len(d.Payload), d.Partial, want)
		}
		if small := wantNext(t, b, "small"); small.Partial {
			t.Error("the small one is partial")
		}
	}
}

// A Unix socket pushes back where UDP drops.
func TestUnixFullPeer(t *testing.T) {
	for _, connected := range []bool{true, false} {
		t.Run(fmt.Sprint("connected ", connected), func(t *testing.T) {
			var a, b *datagram.Conn
			next := unnamed
			if connected {
				a, b = unixEnds(t)
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
				wantNext(t, b, fmt.Sprint(i))
			}
			if err := a.Flush(within(t)); err != nil {
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
			fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fds[1])
			f := os.NewFile(uintptr(fds[0]), "pair")
			c := openFile(t, f, datagram.WithErrorHandler(func(error) {}))
			f.Close()

			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			onDescriptor(t, writer, func(fd int) error {
				copies := make([]int, count)
				for i := range copies {
					copies[i] = fd
				}
				for range 3 {
					if err := unix.Sendmsg(fds[1], []byte("take these"), unix.UnixRights(copies...), nil, 0); err != nil {
						return err
					}
				}
				return nil
			})
			for range 3 {
				wantNext(t, c, "take these")
			}
			if errs, cut := c.Stats().ReceiveErrors, count == 253; cut != (errs == 3) || !cut && errs != 0 {
				t.Errorf("%d receive errors", errs) // one for each that was too long for its control messages
			}
			// The pipe ends when nobody has its other end any more.
			writer.Close()
			if err := reader.SetReadDeadline(time.Now().Add(netns.Watchdog)); err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("a descriptor was kept: %v", err)
			}
		})
	}
}
