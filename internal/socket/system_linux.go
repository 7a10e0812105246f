package socket

import (
	"encoding/binary"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	reuseAddr      = unix.SO_REUSEADDR
	reusePort      = unix.SO_REUSEPORT
	socketProtocol = unix.SO_PROTOCOL

	receiveTime  = unix.SO_TIMESTAMPNS_NEW
	timeMessage  = unix.SO_TIMESTAMPNS_NEW
	receiveTOS   = unix.IP_RECVTOS
	tosMessage   = unix.IP_TOS
	sendTOSSize  = 4
	sendTTL      = unix.IP_TTL
	closeOnExec  = unix.MSG_CMSG_CLOEXEC
	emptyControl = true
)

// isPortable says which implementation serves a socket.
func isPortable(config Config) bool { return config.Portable }

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
	if h.limits.Coalesce && h.udp && !config.Portable {
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

// disconnect is connect(2) with AF_UNSPEC.
func (h *handle) disconnect(fd uintptr) error {
	port := sockname(fd).Port()
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)); errno != 0 {
		return os.NewSyscallError("connect", errno)
	}
	// The kernel keeps what bind was given and forgets what it chose by itself
	// (__udp_disconnect), so a socket that bind left the choice of port to is
	// now deaf. Another socket may have taken the port since: then bind says so.
	if local := sockname(fd); local.Port() == 0 && port != 0 {
		return bind(fd, netip.AddrPortFrom(local.Addr(), port), h.family)
	}
	return nil
}

// decodeTime reads the variant with 64 bits a field on every architecture (Linux 5.1).
func decodeTime(data []byte) time.Time {
	if len(data) != 16 {
		return time.Time{}
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}
