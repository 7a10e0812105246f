package load

import (
	"encoding/binary"
	"unsafe"

	"example.com/datagram/bench/internal/child"
	"golang.org/x/sys/unix"
)

// send sends datagrams from every socket in turn until it is stopped, so that neighbours in the
// receiver's queue never come from one sender.
func send(a *child.Args, counts *child.Counts, fds []int) error {
	buf := make([]byte, a.Size)
	var seq uint64
	for !counts.Stopped() {
		var sent uint64
		for _, fd := range fds {
			binary.LittleEndian.PutUint64(buf, seq)
			_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])),
				uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
			switch errno {
			case 0:
				seq++
				sent++
			case unix.EAGAIN, unix.ECONNREFUSED, unix.EINTR: // full, or the receiver is gone
			default:
				return errno
			}
		}
		counts.AddSent(sent)
	}
	return nil
}
