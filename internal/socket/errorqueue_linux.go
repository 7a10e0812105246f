package socket

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reportNetworkErrors makes the kernel queue what the network reports, for
// unconnected sockets too (ip(7), IP_RECVERR).
func (h *handle) reportNetworkErrors() error {
	if h.family != IPv6 {
		if err := h.setInt(unix.SOL_IP, unix.IP_RECVERR, 1); err != nil {
			return err
		}
	}
	if h.family != IPv4 {
		return h.setInt(unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
	}
	return nil
}

// networkErrors are taken from the kernel by whoever meets one and told by whoever asks.
type networkErrors struct {
	mu   sync.Mutex
	list NetworkErrors // not told yet
}

const (
	// maxErrors bounds how many network errors wait to be told. The kernel keeps, or drops, the rest.
	maxErrors = 256
	// maxUnexplained is how many times to try again a send that fails as if for a network error when there
	// is none: it may have been taken from the queue before the kernel told of it.
	maxUnexplained = 8
)

// NetworkErrors empties the error queue.
func (s *system) NetworkErrors() NetworkErrors {
	s.collectNetworkErrors()
	e := &s.networkErrors
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// collectNetworkErrors takes what is in the kernel's error queue, and returns how many were ever taken.
func (s *system) collectNetworkErrors() uint64 {
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

// An errorReader is what reading the error queue works on. They are pooled: a receiver looks
// each time before it waits, and there is seldom anything.
type errorReader struct {
	socket  *system
	read    func(fd uintptr) // bound once, so that looking allocates nothing
	header  unix.Msghdr
	vector  unix.Iovec
	name    sockaddr
	control [controlSize]byte
	payload [1]byte // the datagram is returned too, and of no use
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
			Name: (*byte)(unsafe.Pointer(&r.name)), Namelen: uint32(len(r.name.bytes())), Iov: &r.vector, Control: &r.control[0],
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
		if report, ok := parseNetworkError(r.control[:r.header.Controllen], &s.zones); ok {
			report.Dst, _ = r.name.decode(r.header.Namelen, &s.zones)
			e.list = append(e.list, report)
			s.counters.NetworkErrors.Add(1)
		}
	}
}

// parseNetworkError finds the extended error among control messages.
func parseNetworkError(b []byte, z *zones) (e NetworkError, ok bool) {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return e, false
	}
	for _, m := range messages {
		const size = int(unsafe.Sizeof(unix.SockExtendedErr{}))
		v4 := m.Header.Level == unix.SOL_IP && m.Header.Type == unix.IP_RECVERR
		v6 := m.Header.Level == unix.SOL_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !v4 && !v6 || len(m.Data) < size {
			continue
		}
		var extended unix.SockExtendedErr
		copy((*[size]byte)(unsafe.Pointer(&extended))[:], m.Data)
		e.Errno = unix.Errno(extended.Errno)
		if extended.Origin != unix.SO_EE_ORIGIN_ICMP && extended.Origin != unix.SO_EE_ORIGIN_ICMP6 {
			continue // time stamps and such, and what send has returned too
		}
		if e.Errno == unix.EMSGSIZE {
			e.MTU = int(extended.Info)
		}
		var offender sockaddr
		n := copy(offender.bytes()[:], m.Data[size:])
		addr, _ := offender.decode(uint32(n), z)
		e.Offender = addr.Addr()
		return e, true
	}
	return e, false
}

// findNetworkErrors finds the network errors behind an errno of a receive.
func (r *receiving) findNetworkErrors() bool {
	if r.socket.limits.NetworkErrors {
		r.errors = r.socket.NetworkErrors()
	}
	return len(r.errors) > 0
}

// isNetworkError says whether an errno of a send may be about a datagram sent
// earlier, perhaps to somebody else.
func (s *system) isNetworkError(errno unix.Errno) bool {
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
