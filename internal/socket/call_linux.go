package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The bounds of a system call that the scheduler is not told of. The garbage
// collector's stop waits for its end, so it must be short. Processor time of 4,000
// calls over loopback, on a machine on which a datagram costs its sender 4.4 µs
// (AMD EPYC, Linux 6.18), in µs:
//
//	                                          median   99 %  longest
//	sendmmsg, 16 messages of 100 to 4,096 B       68    110      230
//	sendto, 64 segments, segmented on the way     43     79      160
//	recvmmsg, 32 messages of 100 B                30     66      140
//	recvmmsg, 16 of 64 KiB, the most in a row     73    110      230
//	recvmmsg, 32 of 64 KiB, after smaller ones   154    205      500
const (
	maxMessages = 16 // of one sendmmsg
	maxSlots    = 32 // that one recvmmsg fills
	// maxUnscheduled is how many bytes are sent so. To send more takes long
	// whoever is told.
	maxUnscheduled = 64 << 10
)

// call makes a system call that never waits (MSG_DONTWAIT). If it is also short,
// the scheduler need not know: after 20 µs it would give the processor away and
// wake a thread for it, which costs a busy socket up to a third of its time. Only
// calls on UDP sockets are short: those of AF_UNIX wait for locks, and sending on
// netlink runs what was asked for.
//
//go:uintptrescapes
func call(short bool, trap, a1, a2, a3, a4, a5, a6 uintptr) (int, syscall.Errno) {
	if short {
		n, _, errno := unix.RawSyscall6(trap, a1, a2, a3, a4, a5, a6)
		return int(n), errno
	}
	n, _, errno := unix.Syscall6(trap, a1, a2, a3, a4, a5, a6)
	return int(n), errno
}
