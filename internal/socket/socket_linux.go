package socket

import (
	"errors"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/batch"
)

// A linuxSocket receives and sends with recvmmsg and sendmmsg, and with generic
// segmentation and receive offload.
type linuxSocket struct {
	*kernelSocket
	watched       *watched // of a UDP socket, else nil
	segmentation  segmentation
	receiving     receiving
	networkErrors networkErrors
	// unbatched is the errno of recvmmsg or sendmmsg if the kernel lacks them or
	// a seccomp filter denies them, else 0.
	unbatched atomic.Uintptr
}

func newLinuxSocket(k *kernelSocket) Socket {
	s := &linuxSocket{kernelSocket: k}
	s.segmentation.on.Store(k.limits.Segment)
	s.receiving.init(s)
	s.receiving.wait = k.raw.Read
	if k.udp {
		s.watched = newWatched(k.file, k.raw)
		s.receiving.wait = s.watched.receive
		k.file, k.raw = s.watched, s.watched
	}
	return s
}

// mmsghdr is struct mmsghdr of recvmmsg(2), which golang.org/x/sys/unix lacks.
// The compiler pads it as C does: to 64 bytes where pointers have 8, else to 32.
type mmsghdr struct {
	header unix.Msghdr
	size   uint32
}

// offload finds out which of the limits the system grants.
func (k *kernelSocket) offload(config Config) {
	if config.Portable {
		k.noOffload()
		return
	}
	limits := &k.limits
	k.features.Batch = offloaded(limits.Batch, limits, nil)
	segment, coalesce := error(errors.ErrUnsupported), error(errors.ErrUnsupported)
	if k.udp {
		if _, segment = k.getInt(unix.SOL_UDP, unix.UDP_SEGMENT); segment == nil {
			segment = limits.distrustSegments(release())
		}
	}
	k.features.Segment = offloaded(limits.Segment, limits, segment)
	if k.udp {
		coalesce = k.coalesce(config) // which may have a reason of its own
	}
	k.features.Coalesce = offloaded(limits.Coalesce, limits, coalesce)
	limits.Segment = k.features.Segment.Active
	limits.Coalesce = k.features.Coalesce.Active
}

// coalesce turns receive offload on. That happens before bind and is never
// undone: what is queued coalesced would arrive as one datagram.
func (k *kernelSocket) coalesce(config Config) error {
	if config.Shared {
		on, err := k.getInt(unix.SOL_UDP, unix.UDP_GRO)
		k.limits.Coalesce = on != 0 // whoever turned it on
		k.limits.Reason = "the socket is shared"
		return err
	}
	if !k.limits.Coalesce {
		return nil
	}
	return k.setInt(unix.SOL_UDP, unix.UDP_GRO, 1)
}

// batches reports whether one system call may move several messages.
func (s *linuxSocket) batches() bool { return s.limits.Batch && s.unbatched.Load() == 0 }

// SetSegmentation turns segmentation offload on or off, within the limits.
func (s *linuxSocket) SetSegmentation(on bool) {
	s.segmentation.on.Store(on && s.limits.Segment)
}

// Segments reports whether segmentation offload is on.
func (s *linuxSocket) Segments() bool { return s.segmentation.on.Load() }

// Features adds to what was found out at the start what was found out since.
func (s *linuxSocket) Features() Features {
	f := s.features
	if errno := syscall.Errno(s.unbatched.Load()); f.Batch.Active && errno != 0 {
		f.Batch = Feature{Reason: "recvmmsg or sendmmsg: " + errno.Error()}
	}
	if f.Segment.Active && !s.segmentation.on.Load() {
		f.Segment = Feature{Reason: "SetSegmentation"}
	}
	if reason := s.segmentation.blockReason(); reason != "" && f.Segment.Active {
		f.Segment.Reason = reason
	}
	f.ReceiveMessages, f.SendMessages, f.Segments = 1, 1, 1
	if f.Batch.Active {
		f.ReceiveMessages, f.SendMessages = maxSlots, maxMessages
	}
	if f.Segment.Active {
		f.Segments = batch.MaxSegments
	}
	return f
}

// SyscallConn leaves the socket to Go's poller from now on: others may wait too.
func (s *linuxSocket) SyscallConn() (syscall.RawConn, error) {
	raw, err := s.kernelSocket.SyscallConn()
	if err == nil && s.watched != nil {
		err = s.watched.pin()
	}
	return raw, err
}

// Drops returns the socket's own count.
func (s *linuxSocket) Drops() (uint32, bool) {
	const drops = 8 // SK_MEMINFO_DROPS of linux/sock_diag.h
	info, err := s.memory()
	return info[drops], err == nil
}

// memory returns what the kernel tells of the socket's memory (SO_MEMINFO).
func (k *kernelSocket) memory() (info [9]uint32, err error) {
	err = k.control(func(fd uintptr) error {
		size := uint32(unsafe.Sizeof(info))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	return info, err
}
