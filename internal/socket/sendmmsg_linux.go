package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sendmmsg sends what is prepared and notes the outcome.
func (t *transfer) sendmmsg(fd uintptr) {
	for {
		n, errno := t.call(fd)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			n = 0
		}
		t.sent, t.errno = n, errno
		return
	}
}

func (t *transfer) call(fd uintptr) (int, syscall.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	short := t.socket.udp && t.bytes <= maxUnscheduled
	if h := &t.headers[0].header; t.n == 1 && h.Iovlen == 1 && h.Control == nil {
		t.name = "sendto" // the kernel has less to copy
		_, errno := call(short, unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(h.Iov.Base)), uintptr(h.Iov.Len),
			flags, uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen))
		return 1, errno
	}
	if t.n > 1 && t.socket.unbatched.Load() == 0 {
		t.name = "sendmmsg"
		n, errno := call(short, unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&t.headers)), uintptr(t.n), flags, 0, 0)
		if errno != unix.ENOSYS && (errno != unix.EPERM || !filtersBatches(fd)) {
			return n, errno
		}
		t.socket.unbatched.Store(uintptr(errno))
	}
	t.name = "sendmsg"
	_, errno := call(short, unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&t.headers[0].header)), flags, 0, 0, 0)
	return 1, errno
}

// filtersBatches reports whether EPERM is about the system call sendmmsg itself:
// old seccomp filters deny so what they do not know
// (github.com/opencontainers/runc/issues/2151). Else it is about the datagram, as
// where a firewall drops it. Without messages only a filter fails the call
// (__sys_sendmmsg).
func filtersBatches(fd uintptr) bool {
	_, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, 0, 0, 0, 0, 0)
	return errno == unix.EPERM
}
