package socket

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/wire"
)

// msgProbe is MSG_PROBE of linux/socket.h, "Do not send. Only probe path.",
// which golang.org/x/sys lacks.
const msgProbe = 0x10

// isSource reports whether the kernel would send from an IPv4 address: whether
// it is one of the host's, by an interface or a local route, and no broadcast or
// multicast address. It has the kernel route an empty datagram from the address
// to itself, without sending it (udp_sendmsg, raw_sendmsg). The kernel fails
// with ENETUNREACH if it does not have the source (ip_route_output_key_hash_rcu);
// sockets that cannot probe have other errors. An unbound socket is bound by
// this.
func (k *kernelSocket) isSource(addr netip.Addr) bool {
	if !wire.IsUnicast(addr) {
		return false
	}
	const anyPort = 9 // but 0
	var name wire.RawSockaddr
	size, err := name.Encode(netip.AddrPortFrom(addr, anyPort), k.family, &k.zones)
	if err != nil {
		return false
	}
	control, err := wire.AppendControl(make([]byte, 0, unix.CmsgSpace(unix.SizeofInet4Pktinfo)), &Control{Local: addr}, true, &k.zones)
	if err != nil {
		return false
	}
	header := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: size, Control: unsafe.SliceData(control)}
	header.SetControllen(len(control))
	source := true
	_ = k.raw.Control(func(fd uintptr) {
		const flags = msgProbe | unix.MSG_CONFIRM | unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&header)), flags)
		source = errno != unix.ENETUNREACH
	})
	return source
}
