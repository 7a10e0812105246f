package socket

import (
	"net"
	"net/netip"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// All of these ask in the network namespace of the socket (netdevice(7)); package
// net would ask in that of the thread.

func (k *kernelSocket) interfaceIndex(name string) (uint32, error) {
	request, err := k.interfaceRequest(unix.SIOCGIFINDEX, name, 0)
	if err != nil {
		return 0, err
	}
	return request.Uint32(), nil
}

func (k *kernelSocket) interfaceRequest(request uint, name string, index uint32) (*unix.Ifreq, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	if index != 0 {
		r.SetUint32(index)
	}
	return r, k.control(func(fd uintptr) error { return unix.IoctlIfreq(int(fd), request, r) })
}

// Interface describes an interface as far as ioctl(2) tells.
func (k *kernelSocket) Interface(index int) (*net.Interface, error) {
	request, err := k.interfaceRequest(unix.SIOCGIFNAME, "", uint32(index))
	if err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	name := request.Name()
	ifi := &net.Interface{Index: index, Name: name}
	if r, err := k.interfaceRequest(unix.SIOCGIFMTU, name, 0); err == nil {
		ifi.MTU = int(r.Uint32())
	}
	if r, err := k.interfaceRequest(unix.SIOCGIFFLAGS, name, 0); err == nil {
		ifi.Flags = interfaceFlags(r.Uint16())
	}
	if r, err := k.interfaceRequest(unix.SIOCGIFHWADDR, name, 0); err == nil && r.Uint16() == unix.ARPHRD_ETHER {
		// It is in a struct sockaddr, behind the name and the family.
		const start, size = unix.IFNAMSIZ + 2, 6
		ifi.HardwareAddr = append(ifi.HardwareAddr, (*[start + size]byte)(unsafe.Pointer(r))[start:]...)
	}
	return ifi, nil
}

func interfaceFlags(flags uint16) (f net.Flags) {
	for bit, flag := range map[uint16]net.Flags{
		unix.IFF_UP: net.FlagUp, unix.IFF_RUNNING: net.FlagRunning, unix.IFF_BROADCAST: net.FlagBroadcast,
		unix.IFF_LOOPBACK: net.FlagLoopback, unix.IFF_POINTOPOINT: net.FlagPointToPoint, unix.IFF_MULTICAST: net.FlagMulticast,
	} {
		if flags&bit != 0 {
			f |= flag
		}
	}
	return f
}

// multicastInterface4 returns the index of the interface that was set for IPv4
// by its address, or 0: the kernel does not tell which was set by its index
// (do_ip_getsockopt, IP_MULTICAST_IF).
func (k *kernelSocket) multicastInterface4() (int, error) {
	var addr [4]byte
	if err := k.control(func(fd uintptr) (err error) {
		addr, err = unix.GetsockoptInet4Addr(int(fd), unix.SOL_IP, unix.IP_MULTICAST_IF)
		return os.NewSyscallError("getsockopt", err)
	}); err != nil || netip.AddrFrom4(addr).IsUnspecified() {
		return 0, err
	}
	requests, err := k.interfaceAddresses()
	if err != nil {
		return 0, err
	}
	for i := range requests {
		if a, err := requests[i].Inet4Addr(); err == nil && [4]byte(a) == addr {
			index, err := k.interfaceIndex(requests[i].Name())
			return int(index), os.NewSyscallError("ioctl", err)
		}
	}
	return 0, unix.ENODEV
}

// interfaceAddresses returns the IPv4 addresses of all interfaces with their
// names.
func (k *kernelSocket) interfaceAddresses() ([]unix.Ifreq, error) {
	for n := 16; ; n *= 2 {
		requests := make([]unix.Ifreq, n)
		// struct ifconf
		list := struct {
			size    int32
			pointer unsafe.Pointer
		}{int32(n) * int32(unsafe.Sizeof(requests[0])), unsafe.Pointer(unsafe.SliceData(requests))}
		err := k.control(func(fd uintptr) error {
			if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, unix.SIOCGIFCONF, uintptr(unsafe.Pointer(&list))); errno != 0 {
				return os.NewSyscallError("ioctl", errno)
			}
			return nil
		})
		runtime.KeepAlive(requests)
		if err != nil {
			return nil, err
		}
		if got := int(list.size) / int(unsafe.Sizeof(requests[0])); got < n { // else there may be more
			return requests[:got], nil
		}
	}
}
