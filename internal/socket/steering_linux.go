package socket

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/systems"
)

// steer makes the kernel deliver what processor cpu has received to socket cpu
// mod n of those that share the port, in the order in which they were bound. It
// may be called on any of them once the second is bound, and is for all: before,
// the kernel knows of no group (reuseport_attach_prog). 0 gives the choice back
// to the kernel.
func (k *kernelSocket) steer(n int) error {
	if !systems.Steering.IPv4.Here() {
		return errors.ErrUnsupported
	}
	return k.control(func(fd uintptr) error {
		var err error
		switch n {
		case 0:
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0); err == unix.ENOENT {
				err = nil // nothing was attached
			}
		case 1: // a socket that shares its port with nobody gets everything
		default:
			program := steeringProgram(uint32(n))
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF,
				&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
		}
		return unsupported(os.NewSyscallError("setsockopt", err))
	})
}

// steeringProgram returns classic BPF code that returns the number of the
// receiving processor modulo n. With an index that no socket has, the kernel
// would choose by its hash (run_bpf_filter).
func steeringProgram(n uint32) []unix.SockFilter {
	const processor = 1<<32 - 0x1000 + 36 // SKF_AD_OFF + SKF_AD_CPU of linux/filter.h
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: processor},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: n},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
}
