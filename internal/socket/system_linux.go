package socket

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	reuseAddr   = unix.SO_REUSEADDR
	reusePort   = unix.SO_REUSEPORT
	receiveTime = unix.SO_TIMESTAMPNS_NEW
	receiveTOS  = unix.IP_RECVTOS
)

// prepare makes a socket receive only what it asked for.
func (h *handle) prepare(config Config) error {
	// Otherwise a wildcard socket hears every group that any socket of the
	// host has joined (ip(7), IP_MULTICAST_ALL; IPv6 since Linux 4.20).
	// A system that does not know the option lacks nothing else.
	if h.family == IPv4 || h.family == Dual {
		_ = h.setInt(unix.SOL_IP, unix.IP_MULTICAST_ALL, 0)
	}
	if h.family == IPv6 || h.family == Dual {
		_ = h.setInt(unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
	if h.limits.Coalesce && h.udp {
		// Before bind: what is queued uncoalesced stays so, but never the reverse.
		h.limits.Coalesce = h.setInt(unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	} else {
		h.limits.Coalesce = false
	}
	return nil
}

func (h *handle) bindToDevice(name string) error {
	return h.control(func(fd uintptr) error {
		return os.NewSyscallError("setsockopt", unix.BindToDevice(int(fd), name))
	})
}

func isUDP(fd uintptr) bool {
	protocol, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL)
	return err != nil || protocol == unix.IPPROTO_UDP
}

// disconnect is connect(2) with AF_UNSPEC.
func disconnect(fd uintptr) error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)); errno != 0 {
		return os.NewSyscallError("connect", errno)
	}
	return nil
}
