package socket

import (
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// disconnect is connect(2) with AF_UNSPEC. The socket stays bound to the port.
func (k *kernelSocket) disconnect(fd uintptr, port uint16) error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa)); errno != 0 {
		return os.NewSyscallError("connect", errno)
	}
	// The kernel forgets the device, however the socket was bound to it
	// (__udp_disconnect). Whether the port is taken, and what an IPv6 address of
	// one link means, depends on the device.
	if k.device != "" {
		if err := unix.BindToDevice(int(fd), k.device); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// The kernel keeps what bind was given and forgets what it chose itself
	// (__udp_disconnect): if bind left it the choice of port, the socket is deaf
	// now. If another socket has taken the port since, bind fails.
	if local := k.sockname(fd); local.Port() == 0 && port != 0 {
		return k.bind(fd, netip.AddrPortFrom(local.Addr(), port))
	}
	return nil
}

// boundDevice returns the name of the device that a socket is bound to, by
// SO_BINDTODEVICE or, which the kernel does not distinguish, by an IPv6 address
// of one link (inet6_bind).
func boundDevice(fd uintptr) string {
	name, _ := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	return name
}

// awaitChange waits until the kernel has made a change that it told of. It tells
// first and then changes the socket, under the lock (udp_abort) that setting an
// option takes too. This option means nothing to datagrams.
func (k *kernelSocket) awaitChange(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
}
