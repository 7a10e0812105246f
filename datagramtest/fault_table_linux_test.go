package datagramtest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
ENOTSUP is EOPNOTSUPP too. EIO, EINVAL, EMSGSIZE and EPERM of a message that the system was to cut into datagrams are not seen either: they are
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
