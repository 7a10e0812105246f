package socket_test

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/socket"
)

func unixSocket(t *testing.T, name string, config socket.Config) socket.Socket {
	t.Helper()
	fd := newFD(t, unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		t.Fatal(err)
	}
	return open(t, fd, config)
}

func unixName(name string) *socket.Name {
	return &socket.Name{Addr: &net.UnixAddr{Name: name, Net: "unixgram"}}
}

func TestUnixPair(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		a, b := open(t, pair[0], config), open(t, pair[1], config)
		if info := a.Info(); info.Family != socket.Other || info.UDP || info.Network != "unixgram" || info.Local.IsValid() {
			t.Errorf("%+v", info)
		}
		var batch socket.Batch
		defer batch.Free()
		for _, payload := range []string{"hello", "", "world"} {
			send(t, a, socket.Outgoing{Payload: []byte(payload)})
			m := receive(t, b, &batch)
			if string(m.Payload) != payload || m.Addr.IsValid() || m.Name != nil {
				t.Errorf("%q from %v %v, want %q from nobody", m.Payload, m.Addr, m.Name, payload)
			}
		}
		for name, err := range map[string]error{
			"TTL":        a.SetOption(socket.TTL, 1),
			"Membership": a.Membership(socket.Membership{Group: netip.MustParseAddr("239.1.1.1")}),
			"Connect":    a.Connect(netip.MustParseAddrPort("127.0.0.1:1")),
		} {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestUnixNames(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		directory, err := os.MkdirTemp("", "socket") //nolint:usetesting // a path must be short
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(directory)
		var batch socket.Batch
		defer batch.Free()
		for _, names := range [][2]string{
			{filepath.Join(directory, "a"), filepath.Join(directory, "b")},
			{"@" + directory + "/a", "@" + directory + "/b"},
		} {
			a, b := unixSocket(t, names[0], config), unixSocket(t, names[1], config)
			send(t, a, socket.Outgoing{Payload: []byte("question"), Name: unixName(names[1])})
			m := receive(t, b, &batch)
			if m.Name == nil || m.Name.String() != names[0] || m.Addr.IsValid() {
				t.Fatalf("from %v, want %s", m.Name, names[0])
			}
			send(t, b, socket.Outgoing{Payload: []byte("answer"), Name: m.Name})
			if m := receive(t, a, &batch); string(m.Payload) != "answer" {
				t.Errorf("%q", m.Payload)
			}
			_ = b.Close()
			if n, err := a.Send([]socket.Outgoing{{Payload: []byte("x"), Name: unixName(names[1])}}, true); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("to a closed socket: %d, %v", n, err)
			}
		}
		a := unixSocket(t, filepath.Join(directory, "c"), config)
		for name, want := range map[string]error{
			filepath.Join(directory, "missing"): unix.ENOENT,
			string(make([]byte, 200)):           unix.EINVAL,
		} {
			if n, err := a.Send([]socket.Outgoing{{Name: unixName(name)}}, true); !errors.Is(err, want) {
				t.Errorf("to %q: %d, %v; want %v", name, n, err, want)
			}
		}
	})
}

// TestUnixFull fills a peer's queue, connected and not.
func TestUnixFull(t *testing.T) {
	forEach(t, func(t *testing.T, config socket.Config) {
		a := unixSocket(t, "", config)
		name := "@socket_test/" + t.Name()
		b := unixSocket(t, name, config)
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		c, d := open(t, pair[0], config), open(t, pair[1], config)
		for _, test := range []struct {
			name     string
			from, to socket.Socket
			datagram socket.Outgoing
		}{
			{"unconnected", a, b, socket.Outgoing{Payload: []byte("x"), Name: unixName(name)}},
			{"connected", c, d, socket.Outgoing{Payload: []byte("x")}},
		} {
			t.Run(test.name, func(t *testing.T) { fill(t, test.from, test.to, test.datagram) })
		}
	})
}

func fill(t *testing.T, from, to socket.Socket, d socket.Outgoing) {
	queued := 0
	for ; ; queued++ {
		n, err := from.Send([]socket.Outgoing{d}, false)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if queued == 0 {
		t.Fatal("no room at all")
	}
	// A send that waits gets the room that a receive makes.
	waiting := make(chan error)
	go func() { _, err := from.Send([]socket.Outgoing{d}, true); waiting <- err }()
	var batch socket.Batch
	defer batch.Free()
	for received := 0; received <= queued; received += len(batch.Messages) {
		if err := to.Receive(&batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	// Close ends the wait.
	go func() {
		for {
			if _, err := from.Send([]socket.Outgoing{d}, true); err != nil {
				waiting <- err
				return
			}
		}
	}()
	for full := false; !full; runtime.Gosched() {
		_, err := from.Send([]socket.Outgoing{d}, false)
		full = errors.Is(err, unix.EAGAIN)
	}
	_ = from.Close()
	if err := <-waiting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestUnixDescriptors receives descriptors that nobody asked for, and closes them: those that a sender passes, and
// those that the kernel adds for an option that another holder of the socket has set.
func TestUnixDescriptors(t *testing.T) {
	for name, test := range map[string]struct {
		rights  []int
		options []int
		receive int // of the payload
	}{
		"rights":          {rights: []int{0, 1, 2}},
		"pidfd":           {options: []int{unix.SO_PASSPIDFD}},
		"both":            {rights: []int{0, 1, 2}, options: []int{unix.SO_PASSPIDFD, unix.SO_PASSCRED}},
		"too many":        {rights: make([]int, 200), options: []int{unix.SO_PASSPIDFD}},
		"payload cut off": {rights: []int{0}, options: []int{unix.SO_PASSPIDFD}, receive: 1},
	} {
		t.Run(name, func(t *testing.T) {
			forEach(t, func(t *testing.T, config socket.Config) {
				const datagrams = 10
				pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer unix.Close(pair[0])
				for _, option := range test.options {
					if err := unix.SetsockoptInt(pair[1], unix.SOL_SOCKET, option, 1); err != nil {
						t.Skip("before Linux 6.5: ", os.NewSyscallError("setsockopt", err))
					}
				}
				config.Receive = cmp.Or(test.receive, config.Receive)
				s := open(t, pair[1], config)
				before := descriptors(t)
				for range datagrams {
					var control []byte
					if len(test.rights) > 0 {
						control = unix.UnixRights(test.rights...)
					}
					if err := unix.Sendmsg(pair[0], []byte("take these"), control, nil, 0); err != nil {
						t.Fatal(err)
					}
				}
				var batch socket.Batch
				defer batch.Free()
				for received := 0; received < datagrams; received += len(batch.Messages) {
					if err := s.Receive(&batch); err != nil {
						t.Fatal(err)
					}
				}
				if after := descriptors(t); after != before {
					t.Errorf("%d descriptors, %d before", after, before)
				}
			})
		})
	}
}

// TestUnixNoErrorQueue asks for network errors where there is no queue of them. The kernel would return a datagram
// instead, which would be lost.
func TestUnixNoErrorQueue(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, pair[1], limits(false, false, true))
	defer unix.Close(pair[0])
	before := descriptors(t)
	if err := unix.Sendmsg(pair[0], []byte("stays"), unix.UnixRights(0), nil, 0); err != nil {
		t.Fatal(err)
	}
	if list := s.NetworkErrors(); len(list) > 0 {
		t.Errorf("%v", list)
	}
	var batch socket.Batch
	defer batch.Free()
	if m := receive(t, s, &batch); string(m.Payload) != "stays" {
		t.Errorf("received %q", m.Payload)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
