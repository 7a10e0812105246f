package datagramtest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

var update = flag.Bool("update", false, "write FAULTS.md")

// The errors that the manual pages list, and those of UDP (udp(7), ip(7)).
var (
	socketErrors  = []syscall.Errno{unix.EACCES, unix.EAFNOSUPPORT, unix.EINVAL, unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EPROTONOSUPPORT}
	bindErrors    = []syscall.Errno{unix.EACCES, unix.EADDRINUSE, unix.EADDRNOTAVAIL, unix.EBADF, unix.EFAULT, unix.EINVAL, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOENT, unix.ENOMEM, unix.ENOTDIR, unix.ENOTSOCK, unix.EROFS}
	connectErrors = []syscall.Errno{unix.EACCES, unix.EADDRINUSE, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT, unix.EAGAIN, unix.EALREADY, unix.EBADF, unix.ECONNREFUSED, unix.EFAULT, unix.EINPROGRESS, unix.EINTR, unix.EISCONN, unix.ENETUNREACH, unix.ENOTSOCK, unix.EPERM, unix.EPROTOTYPE, unix.ETIMEDOUT}
	sendErrors    = []syscall.Errno{
		unix.EACCES, unix.EAGAIN, unix.EALREADY, unix.EBADF, unix.ECONNRESET, unix.EDESTADDRREQ, unix.EFAULT, unix.EINTR, unix.EINVAL, unix.EISCONN, unix.EMSGSIZE, unix.ENOBUFS, unix.ENOMEM, unix.ENOTCONN, unix.ENOTSOCK, unix.EOPNOTSUPP, unix.EPIPE,
		unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.EIO, unix.ENETDOWN, unix.ENETUNREACH, unix.EPERM,
	}
	receiveErrors = []syscall.Errno{
		unix.EAGAIN, unix.EBADF, unix.ECONNREFUSED, unix.EFAULT, unix.EINTR, unix.EINVAL, unix.ENOMEM, unix.ENOTCONN, unix.ENOTSOCK,
		unix.EHOSTUNREACH, unix.ENETDOWN, unix.ENETUNREACH, unix.ENOBUFS, unix.EPROTO,
	}
	optionErrors = []syscall.Errno{unix.EBADF, unix.EFAULT, unix.EINVAL, unix.ENOPROTOOPT, unix.ENOTSOCK, unix.EACCES, unix.EPERM, unix.ENOMEM, unix.ENOBUFS}
)

// A faultRow is a call with the errors that are injected into it, once each.
type faultRow struct {
	call   string
	op     datagramtest.Op
	errnos []syscall.Errno
	try    func(f *faultTest) (outcome string)
}

var faultRows = []faultRow{
	{"Listen", datagramtest.OpListen, join(socketErrors, bindErrors), (*faultTest).listen},
	{"TrySend, which binds", datagramtest.OpListen, join(socketErrors, bindErrors), (*faultTest).firstUse},
	{"Dial", datagramtest.OpConnect, connectErrors, (*faultTest).dial},
	{"Connect", datagramtest.OpConnect, connectErrors, (*faultTest).connect},
	{"Disconnect", datagramtest.OpConnect, connectErrors, (*faultTest).disconnect},
	{"Send", datagramtest.OpSend, sendErrors, (*faultTest).send},
	{"SendFunc", datagramtest.OpSend, sendErrors, (*faultTest).sendFunc},
	{"TrySend", datagramtest.OpSend, sendErrors, (*faultTest).trySend},
	{"TrySendBatch", datagramtest.OpSend, sendErrors, (*faultTest).trySendBatch},
	{"Recv", datagramtest.OpReceive, receiveErrors, (*faultTest).recv},
	{"Serve", datagramtest.OpReceive, receiveErrors, (*faultTest).serve},
	{"SetTTL and other setters", datagramtest.OpSetOption, optionErrors, (*faultTest).setOption},
	{"TTL and other getters", datagramtest.OpOption, optionErrors, (*faultTest).option},
	{"JoinGroup", datagramtest.OpMembership, join(optionErrors, []syscall.Errno{unix.EADDRINUSE, unix.ENODEV}), (*faultTest).joinGroup},
}

func join(a, b []syscall.Errno) []syscall.Errno {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// TestFaultTable injects each error into each call, over a simulated network and over the
// system's, and compares what comes of it with FAULTS.md.
func TestFaultTable(t *testing.T) {
	table := &strings.Builder{}
	fmt.Fprint(table, tableHead)
	for _, row := range faultRows {
		var outcomes []string // in the order of their first errors
		errnos := make(map[string][]string)
		for _, errno := range row.errnos {
			name := unix.ErrnoName(errno)
			t.Run(row.call+"/"+name, func(t *testing.T) {
				var simulated string
				synctest.Test(t, func(t *testing.T) {
					n := datagramtest.NewNetwork(1, datagramtest.Link{})
					defer n.Close()
					simulated = tryFault(t, row, errno, n.Option())
				})
				if system := tryFault(t, row, errno); system != simulated {
					t.Errorf("simulated: %s; the system: %s", simulated, system)
				}
				if errnos[simulated] == nil {
					outcomes = append(outcomes, simulated)
				}
				errnos[simulated] = append(errnos[simulated], name)
			})
		}
		for _, outcome := range outcomes {
			slices.Sort(errnos[outcome])
			fmt.Fprintf(table, "| %s | %s | %s |\n", row.call, strings.Join(errnos[outcome], ", "), outcome)
		}
	}
	const file = "FAULTS.md"
	if *update {
		if err := os.WriteFile(file, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != table.String() {
		t.Errorf("%s is not up to date (%v): see -update", file, err)
	}
}

const tableHead = `# What comes of errors

Made by ` + "`go test ./datagramtest -run TestFaultTable -update`" + `. The test injects each error once into handles on a simulated network and on the
system's, between handle and socket and into the system calls themselves. It checks that nothing else changes:
every other datagram is sent and received once, every completion function is called once, the ledger is exact, the handle goes on
working until it is closed, and nothing of it runs then.

The errors are those that socket(2), bind(2), connect(2), sendmsg(2), sendmmsg(2), recvmsg(2), setsockopt(2), udp(7) and ip(7) list.
ENOTSUP is EOPNOTSUPP too. EIO, EINVAL and EMSGSIZE of a message that the system was to cut into datagrams are not seen either: they are
sent again one by one.

| Call | Error | Outcome |
|---|---|---|
`

// A faultTest is one injected error.
type faultTest struct {
	*testing.T
	options []datagram.Option
	errno   syscall.Errno
	// inject makes the next call fail, in the middle of a batch of which before datagrams
	// go before.
	inject func()
	before int
	told   chan error
	ctx    context.Context
}

// tryFault injects an error between a handle and its socket.
func tryFault(t *testing.T, row faultRow, errno syscall.Errno, options ...datagram.Option) string {
	faults := datagramtest.NewFaults(1)
	f := &faultTest{T: t, errno: errno, before: 2, options: append(options, faults.Option())}
	if errno == unix.EAGAIN || errno == unix.EINTR {
		f.before = 0
	}
	f.inject = func() {
		fault := datagramtest.Fault{Op: row.op, Err: errno}
		if row.call == "TrySendBatch" {
			fault.Short = f.before
		}
		faults.Inject(fault)
	}
	outcome := f.run(row)
	if calls, struck := faults.Calls(row.op); struck != 1 || calls > 20 {
		t.Errorf("%d of %d calls were struck, want 1 of few", struck, calls)
	}
	return outcome
}

func (f *faultTest) run(row faultRow) string {
	ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
	defer cancel()
	f.ctx, f.told = ctx, make(chan error, 99)
	f.options = append(f.options, datagram.WithErrorHandler(func(err error) { f.told <- err }))
	outcome := row.try(f)
	if len(f.told) > 0 {
		f.Errorf("the error handler was told: %v", <-f.told)
	}
	return outcome
}

func (f *faultTest) open() *datagram.Conn {
	f.Helper()
	c, err := datagram.Listen(f.ctx, "udp4", "127.0.0.1:0", f.options...)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// is checks that an error is the injected one, in the form that calls return.
func (f *faultTest) is(err error) {
	f.Helper()
	if !errors.Is(err, f.errno) {
		f.Errorf("got %v, want %v", err, f.errno)
	}
}

func (f *faultTest) must(err error) {
	f.Helper()
	if err != nil {
		f.Error(err)
	}
}

// next returns the next of a channel.
func next[T any](f *faultTest, ch <-chan T) (v T) {
	f.Helper()
	select {
	case v = <-ch:
	case <-f.ctx.Done():
		f.Fatal("nothing came")
	}
	return v
}

// end checks that a handle still works, then that its books are right and that it ends.
func (f *faultTest) end(c *datagram.Conn) {
	f.Helper()
	other := f.open()
	f.must(other.Send(f.ctx, datagram.To(c.LocalAddr(), []byte("question"))))
	question := next(f, c.Recv())
	if string(question.Payload) != "question" {
		f.Errorf("received %q", question.Payload)
	}
	done := make(chan error, 9)
	f.must(c.SendFunc(f.ctx, question.Reply([]byte("answer")), func(err error) { done <- err }))
	f.must(next(f, done))
	if got := next(f, other.Recv()); string(got.Payload) != "answer" {
		f.Errorf("received %q", got.Payload)
	}
	for _, c := range []*datagram.Conn{c, other} {
		f.must(c.Flush(f.ctx))
		s := c.Stats()
		if s.Accepted != s.Sent+s.SendErrors || s.Queued != 0 ||
			s.Received != s.Delivered+s.PolicyDrops+s.StaleDrops+s.CloseDrops+s.Held || s.Held != 0 {
			f.Errorf("ledger: %v", s)
		}
		f.must(c.Close())
		next(f, c.Done())
	}
	if len(done) > 0 {
		f.Error("a completion function was called twice")
	}
}

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
	return "returned; the handle has no socket, and the next use makes one"
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

// unseen is the outcome of errors that a socket deals with itself.
func (f *faultTest) unseen() (string, bool) {
	switch f.errno {
	case unix.EINTR:
		return "not seen: tried again at once", true
	case unix.EAGAIN:
		return "not seen: waited for", true
	}
	return "", false
}

// unseenByQueue is unseen for what is queued.
func (f *faultTest) unseenByQueue() (string, bool) {
	if f.errno == unix.ENOBUFS {
		return "not seen: tried again after a pause", true
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
		outcome = "told to the error handler"
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
		outcome = "given to the completion function"
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
	outcome := "returned, with how many went before"
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

// terminal says whether an error of receiving means that there will be nothing more.
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
			f.Error("receiving goes on")
		}
		f.is(c.Err())
		outcome = "ends receiving, given by Err; the next Recv begins again"
	default:
		f.is(next(f, f.told))
		if s := c.Stats(); s.ReceiveErrors != 1 {
			f.Error(s)
		}
		outcome = "told to the error handler; receiving goes on"
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
		outcome = "returned; the next Serve begins again"
	default:
		outcome = "told to the error handler; Serve goes on"
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
	return "returned; the setting is as before"
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

func (f *faultTest) joinGroup() string {
	c := f.open()
	group := netip.MustParseAddr("239.255.77.79")
	f.inject()
	f.is(c.JoinGroup(group, nil))
	if err := c.LeaveGroup(group, nil); !errors.Is(err, unix.EADDRNOTAVAIL) {
		f.Errorf("leaving: %v, want EADDRNOTAVAIL", err)
	}
	f.end(c)
	return "returned; the handle is no member"
}
