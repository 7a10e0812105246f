package socket

import (
	"encoding/binary"
	"errors"
	"math/bits"
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

	// Both have the same layout where words have 64 bits, and the new one is younger than some kernels (Linux 5.1).
	receiveTime  = words64*unix.SO_TIMESTAMPNS + (1-words64)*unix.SO_TIMESTAMPNS_NEW
	timeMessage  = words64*unix.SCM_TIMESTAMPNS + (1-words64)*unix.SO_TIMESTAMPNS_NEW
	receiveTOS   = unix.IP_RECVTOS
	tosMessage   = unix.IP_TOS
	ttlMessage   = unix.IP_TTL
	ttlSize      = 4
	sendTOSSize  = 4
	sendTTL      = unix.IP_TTL
	closeOnExec  = unix.MSG_CMSG_CLOEXEC
	emptyControl = true
	ipv4OnDual   = true

	pathMTU4 = unix.IP_MTU
	pathMTU6 = unix.IPV6_MTU

	forceReadBuffer  = unix.SO_RCVBUFFORCE
	forceWriteBuffer = unix.SO_SNDBUFFORCE
	minSendBuffer    = 0
	bufferCharge     = 2 // what socket(7), SO_RCVBUF, doubles and reports so
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

// isPortable says which implementation serves a socket.
func isPortable(config Config) bool { return config.Portable }

// hearOnlyJoined keeps out what was not asked for: otherwise a wildcard socket
// hears every group that any socket of the host has joined (ip(7),
// IP_MULTICAST_ALL; IPv6 since Linux 4.20). A system that does not know the
// option lacks nothing else.
func (h *handle) hearOnlyJoined() {
	if h.family == IPv4 || h.family == Dual {
		_ = h.setInt(unix.SOL_IP, unix.IP_MULTICAST_ALL, 0)
	}
	if h.family == IPv6 || h.family == Dual {
		_ = h.setInt(unix.SOL_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	}
}

// offload finds out which of the limits the system grants.
func (h *handle) offload(config Config) {
	if config.Portable {
		h.noOffload()
		return
	}
	limits := &h.limits
	h.features.Batch = feature(limits.Batch, limits, nil)
	segment, coalesce := error(errors.ErrUnsupported), error(errors.ErrUnsupported)
	if h.udp {
		if _, segment = h.getInt(unix.SOL_UDP, unix.UDP_SEGMENT); segment == nil {
			segment = limits.distrustSegments(release())
		}
	}
	h.features.Segment = feature(limits.Segment, limits, segment)
	if h.udp {
		coalesce = h.coalesce(config) // which may have a reason of its own
	}
	h.features.Coalesce = feature(limits.Coalesce, limits, coalesce)
	limits.Segment = h.features.Segment.Active
	limits.Coalesce = h.features.Coalesce.Active
}

// coalesce turns receive offload on. It happens before bind and is never
// undone: what is queued coalesced would arrive as one datagram.
func (h *handle) coalesce(config Config) error {
	if config.Shared {
		on, err := h.getInt(unix.SOL_UDP, unix.UDP_GRO)
		h.limits.Coalesce = on != 0 // whoever turned it on
		h.limits.Reason = "the socket is shared"
		return err
	}
	if !h.limits.Coalesce {
		return nil
	}
	return h.setInt(unix.SOL_UDP, unix.UDP_GRO, 1)
}

func (h *handle) bindToDevice(name string) error {
	return h.control(func(fd uintptr) error {
		return os.NewSyscallError("setsockopt", unix.BindToDevice(int(fd), name))
	})
}

// boundDevice returns the name of the device that a socket is bound to: by SO_BINDTODEVICE or, as is the same to
// the kernel, by an IPv6 address of one link (inet6_bind).
func boundDevice(fd uintptr) string {
	name, _ := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	return name
}

// disconnect is connect(2) with AF_UNSPEC.
func (h *handle) disconnect(fd uintptr) error {
	port := h.sockname(fd).Port()
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)); errno != 0 {
		return os.NewSyscallError("connect", errno)
	}
	// The kernel forgets the device, however the socket was bound to it (__udp_disconnect). On
	// the device depends whether the port is taken, and what an IPv6 address of one link means.
	if h.device != "" {
		if err := unix.BindToDevice(int(fd), h.device); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// The kernel keeps what bind was given and forgets what it chose by itself
	// (__udp_disconnect), so a socket that bind left the choice of port to is
	// now deaf. Another socket may have taken the port since: then bind says so.
	if local := h.sockname(fd); local.Port() == 0 && port != 0 {
		return h.bind(fd, netip.AddrPortFrom(local.Addr(), port))
	}
	return nil
}

// words64 is 1 where a word has 64 bits, else 0.
const words64 = bits.UintSize / 64

// decodeTime reads two fields of 64 bits, on every architecture.
func decodeTime(data []byte) time.Time {
	if len(data) != 16 {
		return time.Time{}
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}
