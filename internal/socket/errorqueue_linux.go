package socket

import (
	"strings"
	"time"
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

// maxErrors bounds how many network errors are taken from the queue together.
const maxErrors = 64

// NetworkErrors empties the error queue.
func (s *system) NetworkErrors() NetworkErrors {
	var list NetworkErrors
	_ = s.control(func(fd uintptr) error {
		list = readErrorQueue(fd, &s.zones)
		return nil
	})
	return list
}

func readErrorQueue(fd uintptr, z *zones) NetworkErrors {
	var list NetworkErrors
	var name sockaddr
	var control [controlSize]byte
	var payload [1]byte // the datagram is returned too, and of no use
	for len(list) < maxErrors {
		vector := unix.Iovec{Base: &payload[0]}
		vector.SetLen(len(payload))
		h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: uint32(len(name.bytes())), Iov: &vector, Control: &control[0]}
		h.SetIovlen(1)
		h.SetControllen(len(control))
		_, _, errno := unix.Syscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&h)), unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			break
		}
		if e, ok := parseNetworkError(control[:h.Controllen], z); ok {
			e.Dst, _ = name.decode(h.Namelen, z)
			list = append(list, e)
		}
	}
	return list
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

// networkErrors finds the network errors behind an errno of a receive.
func (r *receiving) networkErrors(fd uintptr) bool {
	if r.socket.limits.NetworkErrors {
		r.errors = readErrorQueue(fd, &r.socket.zones)
	}
	return len(r.errors) > 0
}

// isNotPollable recognises an unexported error of package poll: the poller saw
// nothing but an error condition, as happens while the send buffer is full
// (netpollcheckerr, since an event of EPOLLERR alone counts as failure).
func isNotPollable(err error) bool {
	return strings.Contains(err.Error(), "not pollable")
}

// pollable takes away what makes the poller refuse to wait.
func (s *system) pollable() NetworkErrors {
	list := s.NetworkErrors()
	_, _ = s.getInt(unix.SOL_SOCKET, unix.SO_ERROR) // reading it clears it
	if len(list) == 0 {
		time.Sleep(time.Millisecond) // until there is another event, nobody can wait for it
	}
	return list
}

// networkRetries says how many times to try again a send that failed with an errno that may be about
// a datagram sent earlier, perhaps to somebody else: the kernel gives it to whoever comes next. Another
// may come in the meantime, and another.
func (s *system) networkRetries(errno unix.Errno) int {
	if !s.limits.NetworkErrors {
		return 0
	}
	switch errno {
	case unix.ECONNREFUSED, unix.EHOSTDOWN, unix.ENONET, unix.EPROTO, unix.ENOPROTOOPT, unix.EOPNOTSUPP:
		return maxErrors // no datagram's own: only ICMP says these (icmp_err_convert, icmpv6_err_convert)
	case unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EACCES, unix.EMSGSIZE:
		return 8 // a datagram's own repeats, and each EMSGSIZE leaves something in the error queue
	}
	return 0
}
