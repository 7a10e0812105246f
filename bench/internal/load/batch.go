package load

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batch is a fixed number of one-buffer messages for connected sockets.
type batch struct {
	bufs [][]byte
	iovs []unix.Iovec
	hdrs []mmsghdr
}

func newBatch(n, size int) *batch {
	b := &batch{bufs: make([][]byte, n), iovs: make([]unix.Iovec, n), hdrs: make([]mmsghdr, n)}
	for i := range n {
		b.bufs[i] = make([]byte, size)
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(size)
		b.hdrs[i].hdr.Iov = &b.iovs[i]
		b.hdrs[i].hdr.SetIovlen(1)
	}
	return b
}

// recv receives what is queued, and returns the number of messages. The calls for one message are
// cheaper, and the load should take as little of the machine as possible.
func (b *batch) recv(fd int) (int, unix.Errno) {
	if len(b.hdrs) == 1 {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(b.iovs[0].Base)),
			uintptr(len(b.bufs[0])), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		b.hdrs[0].n = uint32(n)
		return 1, 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.hdrs[0])),
		uintptr(len(b.hdrs)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// send sends the first n messages, and returns how many the kernel accepted.
func (b *batch) send(fd, n int) (int, unix.Errno) {
	if n == 1 {
		_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(b.iovs[0].Base)),
			uintptr(len(b.bufs[0])), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		return 1, 0
	}
	sent := 0
	for sent < n {
		k, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.hdrs[sent])),
			uintptr(n-sent), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return sent, errno
		}
		sent += int(k)
	}
	return sent, 0
}

// payload returns message i as it was received.
func (b *batch) payload(i int) []byte { return b.bufs[i][:min(int(b.hdrs[i].n), len(b.bufs[i]))] }
