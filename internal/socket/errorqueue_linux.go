package socket

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/wire"
)

// reportNetworkErrors makes the kernel queue what the network reports, for
// unconnected sockets too (ip(7), IP_RECVERR).
func (k *kernelSocket) reportNetworkErrors() error {
	if k.family != IPv6 {
		if err := k.setInt(unix.SOL_IP, unix.IP_RECVERR, 1); err != nil {
			return err
		}
	}
	if k.family != IPv4 {
		return k.setInt(unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	}
	return nil
}

// relieve empties the error queue of a socket on which somebody asked for network
// errors and nobody fetches them, before they leave no room for datagrams. The
// kernel charges them to the receive buffer (sock_queue_err_skb), and strangers
// can forge them.
func (k *kernelSocket) relieve() {
	if k.limits.NetworkErrors || !k.hears() {
		return
	}
	const allocated, size = 0, 1 // SK_MEMINFO_RMEM_ALLOC and SK_MEMINFO_RCVBUF of linux/sock_diag.h
	if info, err := k.memory(); err != nil || info[allocated] < info[size]/2 {
		return
	}
	_ = k.control(func(fd uintptr) error {
		for range maxRelieved {
			_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, 0, 0, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0)
			if errno != 0 && errno != unix.EINTR {
				return nil
			}
		}
		return nil
	})
}

// networkErrors are taken from the kernel by whoever meets one, and kept for
// NetworkErrors to return.
type networkErrors struct {
	mu   sync.Mutex
	list NetworkErrors
}

const (
	// maxRelieved bounds one relief: strangers may forge as fast as it fetches, and
	// Close waits for it.
	maxRelieved = 4096
	// maxErrors bounds how many network errors are kept. The kernel keeps, or
	// drops, the rest.
	maxErrors = 256
	// maxUnexplained bounds how often to repeat a send that fails as if for a
	// network error when there is none in the queue: somebody may have taken it
	// before the kernel told of it.
	maxUnexplained = 8
)

// NetworkErrors empties the error queue. Where there is none, as for AF_UNIX, the
// kernel would ignore MSG_ERRQUEUE and return a datagram (unix_dgram_recvmsg).
func (s *linuxSocket) NetworkErrors() NetworkErrors {
	if s.family != Other {
		s.collectNetworkErrors()
	}
	e := &s.networkErrors
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// putBack returns errors for the next NetworkErrors.
func (e *networkErrors) putBack(list NetworkErrors) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(list, e.list...)
}

// collectNetworkErrors takes what is in the kernel's error queue. It returns how
// many were ever taken.
func (s *linuxSocket) collectNetworkErrors() uint64 {
	e := &s.networkErrors
	e.mu.Lock()
	defer e.mu.Unlock()
	r := errorReaders.Get().(*errorReader)
	defer errorReaders.Put(r)
	r.socket = s
	_ = s.raw.Control(r.read)
	r.socket = nil
	return s.counters.NetworkErrors.Load()
}

// An errorReader is what reading the error queue works on. They are pooled: a
// receiver looks each time before it waits, and seldom finds anything.
type errorReader struct {
	socket  *linuxSocket
	read    func(fd uintptr) // bound once, so that looking allocates nothing
	header  unix.Msghdr
	vector  unix.Iovec
	name    wire.RawSockaddr
	control [wire.ControlSize]byte
	payload [1]byte // the start of the datagram comes too, and is of no use
}

var errorReaders = sync.Pool{New: func() any {
	r := new(errorReader)
	r.read = r.readQueue
	return r
}}

func (r *errorReader) readQueue(fd uintptr) {
	s := r.socket
	e := &s.networkErrors
	for len(e.list) < maxErrors {
		r.vector = unix.Iovec{Base: &r.payload[0]}
		r.vector.SetLen(len(r.payload))
		r.header = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&r.name)), Namelen: uint32(len(r.name.Bytes())), Iov: &r.vector, Control: &r.control[0],
		}
		r.header.SetIovlen(1)
		r.header.SetControllen(len(r.control))
		_, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&r.header)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return
		}
		if report, ok := wire.ParseNetworkError(r.control[:r.header.Controllen], &s.zones); ok {
			report.Dst, _ = r.name.Decode(r.header.Namelen, &s.zones)
			e.list = append(e.list, report)
			s.counters.NetworkErrors.Add(1)
		}
	}
}

// hearsNetworkErrors reports whether somebody, perhaps whoever opened the
// descriptor, asked for network errors.
func (k *kernelSocket) hearsNetworkErrors() bool {
	v4, _ := k.getInt(unix.SOL_IP, unix.IP_RECVERR)
	v6 := 0
	if k.family == IPv6 || k.family == Dual {
		v6, _ = k.getInt(unix.SOL_IPV6, unix.IPV6_RECVERR)
	}
	return k.family != Other && v4+v6 > 0
}

// findNetworkErrors looks for the network errors behind an errno of a receive.
func (r *receiving) findNetworkErrors() bool {
	if r.socket.limits.NetworkErrors {
		r.errors = r.socket.NetworkErrors()
	}
	return len(r.errors) > 0
}

// isNetworkError reports whether an errno of a send may be about a datagram sent
// earlier, perhaps to another destination.
func (s *linuxSocket) isNetworkError(errno unix.Errno) bool {
	if !s.limits.NetworkErrors {
		return false
	}
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENONET,
		unix.EPROTO, unix.ENOPROTOOPT, unix.EACCES, unix.EOPNOTSUPP, unix.EMSGSIZE:
		return true
	}
	return false
}
