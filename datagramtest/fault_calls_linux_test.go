package datagramtest_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

func (f *faultTest) listen() string {
	f.inject()
	c, err := datagram.Listen(f.ctx, "udp4", "127.0.0.1:0", f.options...)
	if c != nil {
		f.Error("there is a handle")
	}
	f.is(err)
	f.end(f.open())
	return "returned; there is no handle"
}

func (f *faultTest) firstUse() string {
	c, err := datagram.New(f.options...)
	f.must(err)
	peer := f.open()
	f.inject()
	_, err = c.TrySend(datagram.To(peer.LocalAddr(), nil))
	f.is(err)
	if c.LocalAddr().IsValid() {
		f.Error("the handle is bound")
	}
	_, err = c.TrySend(datagram.To(peer.LocalAddr(), []byte("x")))
	f.must(err)
	got := next(f, peer.Recv())
	f.end(peer)
	if got.Addr.Port() != c.LocalAddr().Port() {
		f.Errorf("received from %v, want from %v", got.Addr, c.LocalAddr())
	}
	f.must(c.Close())
	next(f, c.Done())
	return "returned; the handle has no socket, and the next use creates one"
}

func (f *faultTest) dial() string {
	peer := f.open()
	f.inject()
	c, err := datagram.Dial(f.ctx, "udp", peer.LocalAddr().String(), f.options...)
	if c != nil {
		f.Error("there is a handle")
	}
	f.is(err)
	f.end(peer)
	return "returned; there is no handle"
}

func (f *faultTest) connect() string {
	c, peer := f.open(), f.open()
	f.inject()
	f.is(c.Connect(peer.LocalAddr()))
	if c.RemoteAddr().IsValid() {
		f.Error("the handle is connected")
	}
	f.must(c.Connect(peer.LocalAddr()))
	f.must(c.Disconnect())
	f.end(c)
	f.end(peer)
	return "returned; the handle is unconnected"
}

func (f *faultTest) disconnect() string {
	c, peer := f.open(), f.open()
	f.must(c.Connect(peer.LocalAddr()))
	f.inject()
	f.is(c.Disconnect())
	if c.RemoteAddr() != peer.LocalAddr() {
		f.Error("the handle is unconnected")
	}
	f.must(c.Send(f.ctx, datagram.Datagram{Payload: []byte("x")}))
	next(f, peer.Recv())
	f.must(c.Disconnect())
	f.end(c)
	f.end(peer)
	return "returned; the handle is still connected"
}

// arrives checks which datagrams arrive.
func (f *faultTest) arrives(peer *datagram.Conn, want ...string) {
	f.Helper()
	for _, want := range want {
		if got := next(f, peer.Recv()); string(got.Payload) != want {
			f.Errorf("received %q, want %q", got.Payload, want)
		}
	}
}

// unseen is the outcome of errors that a socket handles itself.
func (f *faultTest) unseen() (string, bool) {
	switch f.errno {
	case unix.EINTR:
		return "hidden: retried at once", true
	case unix.EAGAIN:
		return "hidden: the handle waits", true
	}
	return "", false
}

// unseenByQueue is unseen for queued datagrams.
func (f *faultTest) unseenByQueue() (string, bool) {
	if f.errno == unix.ENOBUFS {
		return "hidden: retried after a pause", true
	}
	return f.unseen()
}

func (f *faultTest) send() string {
	c, peer := f.open(), f.open()
	f.inject()
	for _, payload := range []string{"one", "two"} {
		f.must(c.Send(f.ctx, datagram.To(peer.LocalAddr(), []byte(payload))))
		f.must(c.Flush(f.ctx))
	}
	outcome, unseen := f.unseenByQueue()
	if unseen {
		f.arrives(peer, "one", "two")
	} else {
		f.is(next(f, f.told))
		f.arrives(peer, "two")
		outcome = "passed to the error handler"
	}
	f.end(c)
	f.end(peer)
	return outcome
}

func (f *faultTest) sendFunc() string {
	c, peer := f.open(), f.open()
	f.inject()
	type completion struct {
		number int
		err    error
	}
	completed := make(chan completion, 9)
	for i := range 3 {
		f.must(c.SendFunc(f.ctx, datagram.To(peer.LocalAddr(), fmt.Append(nil, i)), func(err error) { completed <- completion{i, err} }))
	}
	outcome, unseen := f.unseenByQueue()
	for i := range 3 {
		got := next(f, completed)
		if got.number != i {
			f.Errorf("completion of %d, want of %d", got.number, i)
		}
		if i == 0 && !unseen {
			f.is(got.err)
		} else {
			f.must(got.err)
		}
	}
	if unseen {
		f.arrives(peer, "0", "1", "2")
	} else {
		f.arrives(peer, "1", "2")
		outcome = "passed to the completion function"
	}
	f.end(c)
	f.end(peer)
	if len(completed) > 0 {
		f.Error("a completion function was called twice")
	}
	return outcome
}

func (f *faultTest) trySend() string {
	c, peer := f.open(), f.open()
	f.inject()
	_, err := c.TrySend(datagram.To(peer.LocalAddr(), []byte("one")))
	outcome := "returned"
	switch {
	case f.errno == unix.EINTR:
		outcome, _ = f.unseen()
		f.must(err)
		f.arrives(peer, "one")
	case f.errno == unix.EAGAIN:
		outcome = "returned, as ErrWouldBlock"
		if err != datagram.ErrWouldBlock {
			f.Errorf("got %v, want ErrWouldBlock", err)
		}
	default:
		f.is(err)
	}
	_, err = c.TrySend(datagram.To(peer.LocalAddr(), []byte("two")))
	f.must(err)
	f.arrives(peer, "two")
	f.end(c)
	f.end(peer)
	return outcome
}

func (f *faultTest) trySendBatch() string {
	c, peer := f.open(), f.open()
	f.inject()
	ds := make([]datagram.Datagram, 4)
	for i := range ds {
		ds[i] = datagram.To(peer.LocalAddr(), fmt.Append(nil, i))
	}
	n, err := c.TrySendBatch(ds)
	outcome := "returned, with the number sent before"
	switch {
	case f.errno == unix.EINTR:
		outcome, _ = f.unseen()
		f.must(err)
	case f.errno == unix.EAGAIN:
		outcome = "returned, as ErrWouldBlock"
		if err != datagram.ErrWouldBlock || n != 0 {
			f.Errorf("%d, %v; want 0, ErrWouldBlock", n, err)
		}
	default:
		f.is(err)
		if n != f.before {
			f.Errorf("%d went, want %d", n, f.before)
		}
	}
	rest, err := c.TrySendBatch(ds[n:])
	f.must(err)
	if n+rest != 4 {
		f.Errorf("%d and %d of 4 went", n, rest)
	}
	f.arrives(peer, "0", "1", "2", "3")
	f.end(c)
	f.end(peer)
	return outcome
}

// terminal reports whether a receive error is final.
func (f *faultTest) terminal() bool {
	switch f.errno {
	case unix.EBADF, unix.EFAULT, unix.EINVAL, unix.ENOTCONN, unix.ENOTSOCK:
		return true
	}
	return false
}

func (f *faultTest) recv() string {
	c, peer := f.open(), f.open()
	f.inject()
	ch := c.Recv()
	outcome, unseen := f.unseen()
	switch {
	case unseen:
	case f.terminal():
		if _, ok := <-ch; ok {
			f.Error("receiving continues")
		}
		f.is(c.Err())
		outcome = "ends receiving, returned by Err; the next Recv starts again"
	default:
		f.is(next(f, f.told))
		if s := c.Stats(); s.ReceiveErrors != 1 {
			f.Error(s)
		}
		outcome = "passed to the error handler; receiving continues"
	}
	f.must(peer.Send(f.ctx, datagram.To(c.LocalAddr(), []byte("x"))))
	f.arrives(c, "x")
	f.end(c)
	f.end(peer)
	return outcome
}

func (f *faultTest) serve() string {
	c, peer := f.open(), f.open()
	f.inject()
	f.must(peer.Send(f.ctx, datagram.To(c.LocalAddr(), []byte("x"))))
	handled := 0
	serve := func() error {
		return c.Serve(f.ctx, func(d datagram.Datagram) {
			handled++
			f.must(c.StopRecv())
		})
	}
	outcome, unseen := f.unseen()
	switch {
	case unseen:
	case f.terminal():
		f.is(serve())
		outcome = "returned; the next Serve starts again"
	default:
		outcome = "passed to the error handler; Serve continues"
	}
	f.must(serve())
	if !unseen && !f.terminal() {
		f.is(next(f, f.told))
	}
	if handled != 1 {
		f.Errorf("%d handled, want 1", handled)
	}
	f.end(c)
	f.end(peer)
	return outcome
}

func (f *faultTest) setOption() string {
	c := f.open()
	f.must(c.SetTTL(9))
	f.inject()
	f.is(c.SetTTL(10))
	if ttl, err := c.TTL(); ttl != 9 || err != nil {
		f.Errorf("TTL %d, %v; want 9", ttl, err)
	}
	f.end(c)
	return "returned; the setting is unchanged"
}

func (f *faultTest) option() string {
	c := f.open()
	f.inject()
	_, err := c.TTL()
	f.is(err)
	_, err = c.TTL()
	f.must(err)
	f.end(c)
	return "returned"
}

// loopback is the loopback interface of the system, in any namespace, and of a simulated host. Without it,
// joining needs a route to the group (LOOPBACK_IFINDEX of Linux, include/net/flow.h).
var loopback = &net.Interface{Index: 1, Name: "lo"}

func (f *faultTest) joinGroup() string {
	c := f.open()
	group := netip.MustParseAddr("239.255.77.79")
	f.inject()
	f.is(c.JoinGroup(group, loopback))
	if err := c.LeaveGroup(group, loopback); !errors.Is(err, unix.EADDRNOTAVAIL) {
		f.Errorf("leaving: %v, want EADDRNOTAVAIL", err)
	}
	f.end(c)
	return "returned; the handle is not a member"
}
