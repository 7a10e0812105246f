//go:build amd64 || arm64 || s390x

package datagramtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/testenv"
)

// systemCalls are the system calls of each operation, by the API call of a row.
func systemCalls(row faultRow, errno syscall.Errno) []uint32 {
	switch row.op {
	case datagramtest.OpListen:
		if slices.Contains(socketErrors, errno) {
			return []uint32{unix.SYS_SOCKET}
		}
		return []uint32{unix.SYS_BIND}
	case datagramtest.OpConnect:
		return []uint32{unix.SYS_CONNECT}
	case datagramtest.OpSend:
		return []uint32{unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG}
	case datagramtest.OpReceive:
		return []uint32{unix.SYS_RECVMSG, unix.SYS_RECVMMSG}
	case datagramtest.OpOption:
		return []uint32{unix.SYS_GETSOCKOPT}
	default:
		return []uint32{unix.SYS_SETSOCKOPT}
	}
}

// supervisedVariable marks the test's own process. A filter stays for the life of a process.
const supervisedVariable = "DATAGRAM_TEST_SUPERVISED"

// TestFaultTableBeneath injects the errors of the table into the system calls themselves, and expects the
// same outcomes.
func TestFaultTableBeneath(t *testing.T) {
	if os.Getenv(supervisedVariable) == "" {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // otherwise a deadlock prints nothing
		defer cancel()
		child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		// Package syscall makes some calls without telling the scheduler. One that waits for the supervisor
		// blocks a processor, and keeps the collector from stopping the world.
		child.Env = append(os.Environ(), supervisedVariable+"=1", "GOMAXPROCS=16", "GOGC=off")
		out, err := child.CombinedOutput()
		switch {
		case err != nil:
			t.Errorf("%v\n%s", err, out)
		case strings.Contains(string(out), "--- SKIP: "+t.Name()+" "):
			testenv.Skip(t, "no supervision of system calls (seccomp_unotify(2))\n"+string(out))
		case !strings.Contains(string(out), "--- PASS: "+t.Name()):
			t.Errorf("nothing was tested:\n%s", out)
		}
		return
	}
	s, err := supervise()
	if err != nil {
		t.Skip(err)
	}
	defer s.close()
	for _, row := range faultRows {
		for _, errno := range row.errnos {
			if errno == unix.EAGAIN && (row.op == datagramtest.OpSend || row.op == datagramtest.OpReceive) {
				continue // the poller would wait for a change that never comes
			}
			t.Run(row.call+"/"+unix.ErrnoName(errno), func(t *testing.T) {
				var want string
				synctest.Test(t, func(t *testing.T) {
					n := datagramtest.NewNetwork(1, datagramtest.Link{})
					defer n.Close()
					want = tryFault(t, row, errno, n.Option())
				})
				for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadBatch} {
					f := &faultTest{T: t, errno: errno, options: []datagram.Option{datagram.WithOffload(offload)}}
					f.inject = func() { s.arm(errno, systemCalls(row, errno)) }
					if got := f.run(row); got != want {
						t.Errorf("%s, want: %s", got, want)
					}
					if s.armed() {
						t.Error("no system call was struck")
					}
				}
			})
		}
	}
	for _, errno := range sendErrors {
		if errno != unix.EAGAIN {
			t.Run("segmented/"+unix.ErrnoName(errno), func(t *testing.T) { testSegmentedFault(t, s, errno) })
		}
	}
}

// testSegmentedFault fails a system call that sends several datagrams as segments of one message. An error
// that is or might be due to segmentation is retried without it; others are errors of the first datagram.
func testSegmentedFault(t *testing.T, s *supervisor, errno syscall.Errno) {
	f := &faultTest{T: t, ctx: t.Context()}
	c, peer := f.open(), f.open()
	if reason := c.Capabilities().GSO.Reason; reason != "" {
		t.Skip(reason)
	}
	ds := make([]datagram.Datagram, 10)
	for i := range ds {
		ds[i] = datagram.To(peer.LocalAddr(), []byte{'0' + byte(i)})
	}
	s.arm(errno, []uint32{unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG})
	n, err := c.TrySendBatch(ds)
	switch errno {
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.EPERM, unix.EINTR:
		if n != len(ds) || err != nil {
			t.Errorf("%d, %v; want all", n, err)
		}
	default:
		if n != 0 || !errors.Is(err, errno) {
			t.Errorf("%d, %v; want 0, %v", n, err, errno)
		}
		if _, err := c.TrySendBatch(ds); err != nil {
			t.Error(err)
		}
	}
	for i := range ds {
		f.arrives(peer, string(ds[i].Payload))
	}
	f.end(c)
	f.end(peer)
}

// A supervisor decides the outcome of the system calls on this process's sockets (seccomp_unotify(2)).
type supervisor struct {
	fd     uintptr // of the notifications
	closed atomic.Bool
	done   chan struct{}

	mu    sync.Mutex
	errno syscall.Errno // of the next of calls
	calls []uint32
}

// Structures of linux/seccomp.h.
type notification struct {
	id     uint64
	pid    uint32
	flags  uint32
	number int32
	_      uint32 // architecture
	_      [7]uint64
}

type response struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

func supervise() (*supervisor, error) {
	// The number is the first field of struct seccomp_data.
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for _, call := range []uint32{
		unix.SYS_SOCKET, unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
		unix.SYS_RECVMSG, unix.SYS_RECVMMSG, unix.SYS_GETSOCKOPT, unix.SYS_SETSOCKOPT,
	} {
		filter = append(
			filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF},
		)
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return nil, os.NewSyscallError("seccomp", errno)
	}
	s := &supervisor{fd: fd, done: make(chan struct{})}
	go s.run()
	return s, nil
}

// close ends supervision. Later system calls on sockets fail.
func (s *supervisor) close() {
	s.closed.Store(true)
	<-s.done
	_ = unix.Close(int(s.fd))
}

// arm makes the next of the given system calls fail.
func (s *supervisor) arm(errno syscall.Errno, calls []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errno, s.calls = errno, calls
}

func (s *supervisor) armed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errno != 0
}

func (s *supervisor) run() {
	defer close(s.done)
	for !s.closed.Load() {
		if s.isReadable() {
			s.answer()
		}
	}
}

// isReadable waits for a system call, on a thread of its own: a call that the scheduler does not know of holds a
// processor, and then nobody may be looking at Go's poller.
func (s *supervisor) isReadable() bool {
	const patience = 10 // milliseconds, to notice close
	polled := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	n, _ := unix.Poll(polled, patience)
	return n == 1 && polled[0].Revents&unix.POLLIN != 0
}

// answer decides the outcome of a system call.
func (s *supervisor) answer() {
	var call notification
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, s.fd, unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&call))); errno != 0 {
		return // interrupted, or the caller is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := response{id: call.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	strike := s.errno != 0 && slices.Contains(s.calls, uint32(call.number))
	if strike {
		r.err, r.flags = -int32(s.errno), 0
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, s.fd, unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
	if strike && errno == 0 { // otherwise the call was interrupted and comes again
		s.errno = 0
	}
}
