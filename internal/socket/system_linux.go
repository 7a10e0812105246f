package socket

import (
	"math/bits"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	pendingError   = unix.SO_ERROR
	reuseAddr      = unix.SO_REUSEADDR
	reusePort      = unix.SO_REUSEPORT
	socketProtocol = unix.SO_PROTOCOL

	// Both ask for the same layout where a word has 64 bits, and the new one is
	// younger than some kernels (Linux 5.1).
	receiveTime  = words64*unix.SO_TIMESTAMPNS + (1-words64)*unix.SO_TIMESTAMPNS_NEW
	receiveTOS   = unix.IP_RECVTOS
	closeOnExec  = unix.MSG_CMSG_CLOEXEC
	emptyControl = true

	pathMTU4 = unix.IP_MTU
	pathMTU6 = unix.IPV6_MTU

	forceReadBuffer  = unix.SO_RCVBUFFORCE
	forceWriteBuffer = unix.SO_SNDBUFFORCE
	minSendBuffer    = 0
	bufferCharge     = 2 // the kernel doubles a size and reports the double (socket(7), SO_RCVBUF)

	noNetwork = unix.ENONET

	words64 = bits.UintSize / 64 // 1 where a word has 64 bits, else 0
)

var bufferLimits = map[Option]string{
	ReadBuffer:  "net.core.rmem_max, or with CAP_NET_ADMIN 1 GiB",
	WriteBuffer: "net.core.wmem_max, or with CAP_NET_ADMIN 1 GiB",
}

// PROBE sets the don't-fragment bit and, unlike DO, goes by the MTU of the
// device alone: a cached path MTU may be a forgery (ip(7), IP_MTU_DISCOVER).
var (
	dontFragment4 = switchOption{unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_WANT, unix.IP_PMTUDISC_PROBE}
	dontFragment6 = switchOption{unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_WANT, unix.IPV6_PMTUDISC_PROBE}
)

// isPortable reports whether the portable implementation serves a socket.
func isPortable(config Config) bool { return config.Portable }

// hearOnlyJoined keeps out groups that the socket did not join. By default a
// wildcard socket hears every group that any socket of the host has joined
// (ip(7), IP_MULTICAST_ALL; IPv6 since Linux 4.20). A kernel that does not know
// the option lacks nothing else.
func (k *kernelSocket) hearOnlyJoined() {
	if k.family == IPv4 || k.family == Dual {
		_ = k.setInt(unix.SOL_IP, unix.IP_MULTICAST_ALL, 0)
	}
	if k.family == IPv6 || k.family == Dual {
		_ = k.setInt(unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
}

// hearsAllGroups reports whether the socket hears groups that others joined.
func (k *kernelSocket) hearsAllGroups() bool {
	if k.family == IPv4 || k.family == Dual {
		if all, err := k.getInt(unix.SOL_IP, unix.IP_MULTICAST_ALL); err != nil || all != 0 {
			return true
		}
	}
	if k.family == IPv6 || k.family == Dual {
		if all, err := k.getInt(unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL); err != nil || all != 0 {
			return true
		}
	}
	return false
}

// bindToDevice refuses names that no interface can have: of those the kernel
// would take the beginning (sock_setbindtodevice).
func (k *kernelSocket) bindToDevice(name string) error {
	if len(name) >= unix.IFNAMSIZ || strings.Contains(name, "\x00") {
		return unix.ENODEV
	}
	return k.control(func(fd uintptr) error {
		return os.NewSyscallError("setsockopt", unix.BindToDevice(int(fd), name))
	})
}
