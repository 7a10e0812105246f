package systemtest_test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// batchCalls are the system calls for several messages.
var batchCalls = map[string]uint32{"sendmmsg": unix.SYS_SENDMMSG, "recvmmsg": unix.SYS_RECVMMSG}

// deniedVariable tells a test that it runs in a process of its own, and which system
// calls to do without: a filter stays for the life of a process.
const deniedVariable = "DATAGRAM_TEST_DENIED"

// denials are what filters say that know fewer system calls than the kernel.
var denials = map[string]unix.Errno{"ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM}

// deny makes system calls of this process fail.
func deny(errno unix.Errno, calls ...uint32) error {
	// The number is the first field of struct seccomp_data (linux/seccomp.h).
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for _, call := range calls {
		filter = append(
			filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		)
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// All threads take part, also in what a filter of an unprivileged process needs.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program))); errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	return nil
}

// withoutBatchCalls runs a test in processes where one or both of the system calls are missing.
func withoutBatchCalls(t *testing.T, test func(t *testing.T, denied string)) {
	t.Helper()
	testenv.AllOffloads(t)
	if denied := os.Getenv(deniedVariable); denied != "" {
		errno, names, _ := strings.Cut(denied, " ")
		var calls []uint32
		for name := range strings.SplitSeq(names, ",") {
			calls = append(calls, batchCalls[name])
		}
		if err := deny(denials[errno], calls...); err != nil {
			testenv.Skip(t, err.Error())
		}
		test(t, denied)
		return
	}
	for _, denied := range []string{
		"ENOSYS sendmmsg", "ENOSYS recvmmsg", "ENOSYS sendmmsg,recvmmsg",
		"EPERM sendmmsg", "EPERM recvmmsg", "EPERM sendmmsg,recvmmsg",
	} {
		t.Run(denied, func(t *testing.T) { runDenied(t, denied) })
	}
}

// runDenied runs the test that calls it again, in a process that is told what to do without.
func runDenied(t *testing.T, denied string) {
	t.Helper()
	name, _, _ := strings.Cut(t.Name(), "/")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v")
	child.Env = append(os.Environ(), deniedVariable+"="+denied)
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		testenv.Skip(t, string(out))
	case !strings.Contains(string(out), "--- PASS: "+name):
		t.Errorf("nothing was tested:\n%s", out)
	}
}

// rising returns datagrams that grow, so that no two of them can be segments of one message.
func rising(to netip.AddrPort, n int) []datagram.Datagram {
	ds := make([]datagram.Datagram, n)
	for i := range ds {
		ds[i] = datagram.To(to, []byte(strings.Repeat("x", i+1)))
	}
	return ds
}

// expectRising receives what rising returns.
func expectRising(t *testing.T, ch <-chan datagram.Datagram, n int) {
	t.Helper()
	for i := range n {
		if got := len(conntest.Text(t, ch)); got != i+1 {
			t.Fatalf("received %d bytes, want %d", got, i+1)
		}
	}
}

func TestEchoWithoutBatchCalls(t *testing.T) {
	withoutBatchCalls(t, func(t *testing.T, denied string) {
		const n = 50
		server, client := conntest.Loopback(t), conntest.Loopback(t)
		result := conntest.Serve(background, server, func(d datagram.Datagram) {
			if err := server.Send(background, d.Reply(d.Payload)); err != nil {
				t.Error(err)
			}
			d.Release()
		})
		answers := client.Recv()
		for round := range 10 {
			completed := make(chan error, n)
			for _, d := range rising(server.LocalAddr(), n) {
				conntest.ExpectError(t, "SendFunc", client.SendFunc(background, d, func(err error) { completed <- err }), nil)
			}
			for range n {
				conntest.ExpectError(t, fmt.Sprint("done in round ", round), await.Value(t, "done", completed), nil)
			}
			expectRising(t, answers, n)
		}
		// The first use of what is missing is not left to chance.
		expectBatch(t, client, rising(server.LocalAddr(), n))
		expectRising(t, answers, n)
		conntest.ExpectError(t, "Flush", server.Flush(background), nil)
		for name, c := range map[string]*datagram.Conn{"client": client, "server": server} {
			s, batch := c.Stats(), c.Capabilities().Batch
			if s.Sent != 11*n || s.Received != 11*n || s.SendErrors != 0 || s.ReceiveErrors != 0 {
				t.Errorf("%s: %+v, want %d sent and received, no errors", name, s, 11*n)
			}
			noticed := name == "client" || strings.Contains(denied, "recvmmsg")
			errno, _, _ := strings.Cut(denied, " ")
			if noticed && (batch.Active || !strings.Contains(batch.Reason, denials[errno].Error())) {
				t.Errorf("%s: batch %v, want it off because of %s", name, batch, errno)
			}
		}
		conntest.ExpectError(t, "StopRecv", server.StopRecv(), nil)
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve to end", result), nil)
	})
}

// expectBatch sends a batch that must go.
func expectBatch(t *testing.T, c *datagram.Conn, ds []datagram.Datagram) {
	t.Helper()
	if n, err := c.TrySendBatch(ds); n != len(ds) || err != nil {
		t.Fatalf("TrySendBatch: %d, %v; want %d", n, err, len(ds))
	}
}

// What one direction finds missing the other may be about to use.
func TestReceivingAfterASendFoundBatchCallsMissing(t *testing.T) {
	withoutBatchCalls(t, func(t *testing.T, _ string) {
		const n = 20
		c, sink := conntest.Loopback(t), conntest.Loopback(t)
		for range n {
			conntest.Send(t, sink, datagram.To(c.LocalAddr(), []byte("x")))
		}
		handled := 0
		result := conntest.Serve(background, c, func(datagram.Datagram) {
			if handled++; handled == 1 {
				expectBatch(t, c, rising(sink.LocalAddr(), n))
			}
			if handled == n {
				c.StopRecv()
			}
		})
		conntest.ExpectError(t, "Serve", await.Value(t, "Serve to end", result), nil)
		expectRising(t, sink.Recv(), n)
		if s := c.Stats(); s.ReceiveErrors != 0 || s.Received != n {
			t.Errorf("%+v, want %d received and no errors", s, n)
		}
	})
}

// Several may find out at once.
func TestConcurrentSendsFindBatchCallsMissing(t *testing.T) {
	withoutBatchCalls(t, func(t *testing.T, _ string) {
		sink := conntest.Socket(t)
		for range 50 {
			c := conntest.Loopback(t)
			var senders sync.WaitGroup
			for range 4 {
				senders.Go(func() {
					if n, err := c.TrySendBatch(rising(conntest.AddrOf(sink), 8)); n != 8 || err != nil {
						t.Errorf("TrySendBatch: %d, %v", n, err)
					}
				})
			}
			senders.Wait()
			c.Close()
		}
	})
}

// A filter that refuses recvmmsg with an errno that network errors have, too, keeps no handle from closing.
func TestRefusedReceiveEnds(t *testing.T) {
	testenv.AllOffloads(t)
	if os.Getenv(deniedVariable) == "" {
		runDenied(t, "EACCES recvmmsg")
		return
	}
	told := make(chan error, 1000)
	c := conntest.Loopback(t, datagram.WithRecvQueue(1, datagram.DropNewest), datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) {
		select {
		case told <- err:
		default:
		}
	}))
	peer := conntest.Loopback(t)
	if err := deny(unix.EACCES, unix.SYS_RECVMMSG); err != nil {
		t.Skip("no seccomp: ", err)
	}
	for range 100 { // enough for receives of several messages
		conntest.TrySend(t, peer, datagram.To(c.LocalAddr(), []byte("hello")))
	}
	c.Recv()
	conntest.ExpectError(t, "the error", await.Value(t, "the error handler", told), unix.EACCES)
	await.Return(t, "Close", func() { c.Close() })
}
