//go:build unix

package socket

import (
	"errors"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// setSystemOption sets an option that golang.org/x/net has no name for.
func (h *handle) setSystemOption(option Option, value int) error {
	level, name := unix.SOL_SOCKET, 0
	switch option {
	case ReuseAddr:
		name = reuseAddr
	case ReusePort:
		name = reusePort
	case Broadcast:
		name = unix.SO_BROADCAST
	case ReadBuffer:
		name = unix.SO_RCVBUF
	case WriteBuffer:
		name = unix.SO_SNDBUF
	case ReceiveTime:
		name = receiveTime
	case IPv6Only:
		level, name = unix.IPPROTO_IPV6, unix.IPV6_V6ONLY
	}
	if name == 0 {
		return errors.ErrUnsupported
	}
	return h.setInt(level, name, value)
}

// setSystemOption4 is setSystemOption for the options of IPv4.
func (h *handle) setSystemOption4(option Option, value int) error {
	if option == ReceiveTrafficClass && receiveTOS != 0 {
		return h.setInt(unix.IPPROTO_IP, receiveTOS, value)
	}
	return errors.ErrUnsupported
}

func (h *handle) systemOption(option Option) (int, error) {
	name := map[Option]int{ReadBuffer: unix.SO_RCVBUF, WriteBuffer: unix.SO_SNDBUF, Broadcast: unix.SO_BROADCAST}[option]
	var value int
	err := h.control(func(fd uintptr) (err error) {
		value, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, name)
		return os.NewSyscallError("getsockopt", err)
	})
	return value, err
}

func (h *handle) setInt(level, name, value int) error {
	return h.control(func(fd uintptr) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), level, name, value))
	})
}

// File returns a duplicate of the descriptor.
func (h *handle) File() (*os.File, error) {
	var f *os.File
	err := h.control(func(fd uintptr) (err error) {
		f, err = duplicate(fd, h.network)
		return err
	})
	return f, err
}

func duplicate(fd uintptr, name string) (*os.File, error) {
	dup, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(dup), name), nil
}

// Open makes a Socket of any descriptor that keeps the datagram contract.
// f stays the caller's.
func Open(f *os.File, config Config) (Socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, closed(err)
	}
	h := &handle{limits: config.Limits}
	var dup *os.File
	if e := raw.Control(func(fd uintptr) { dup, err = h.open(fd) }); e != nil {
		return nil, closed(e)
	}
	if err != nil {
		return nil, err
	}
	h.raw, err = dup.SyscallConn()
	if err == nil {
		err = h.configure(h.network, "", config)
	}
	if err != nil {
		dup.Close()
		return nil, err
	}
	return adopt(h, dup, config)
}

// open examines a descriptor and duplicates it.
func (h *handle) open(fd uintptr) (*os.File, error) {
	kind, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if kind != unix.SOCK_DGRAM && kind != unix.SOCK_RAW {
		return nil, unix.EPROTOTYPE
	}
	sa, err := unix.Getsockname(int(fd))
	switch sa.(type) {
	case *unix.SockaddrInet4:
		h.family, h.network, h.udp = IPv4, "udp4", kind == unix.SOCK_DGRAM
	case *unix.SockaddrInet6:
		h.family, h.network, h.udp = IPv6, "udp6", kind == unix.SOCK_DGRAM
		if only, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err == nil && only == 0 {
			h.family, h.network = Dual, "udp"
		}
	case *unix.SockaddrUnix:
		h.network = "unixgram"
	default:
		// x/sys does not know every family: that is no error.
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, os.NewSyscallError("getsockname", err)
		}
		h.network = "socket"
	}
	if h.family != Other && !isUDP(fd) {
		h.network, h.udp = "ip", false
	}
	if err := unix.SetNonblock(int(fd), true); err != nil {
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return duplicate(fd, h.network)
}

func bind(fd uintptr, addr netip.AddrPort, family Family) error {
	sa, err := toSockaddr(addr, family)
	if err != nil {
		return err
	}
	return os.NewSyscallError("bind", unix.Bind(int(fd), sa))
}

func connect(fd uintptr, peer netip.AddrPort, family Family) error {
	sa, err := toSockaddr(peer, family)
	if err != nil {
		return err
	}
	return os.NewSyscallError("connect", unix.Connect(int(fd), sa))
}

func sockname(fd uintptr) netip.AddrPort {
	sa, _ := unix.Getsockname(int(fd))
	return fromSockaddr(sa)
}

func peername(fd uintptr) netip.AddrPort {
	sa, _ := unix.Getpeername(int(fd))
	return fromSockaddr(sa)
}

func toSockaddr(addr netip.AddrPort, family Family) (unix.Sockaddr, error) {
	ip := addr.Addr()
	if family == IPv4 {
		if !ip.Unmap().Is4() {
			return nil, syscall.EAFNOSUPPORT
		}
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.Unmap().As4()}, nil
	}
	if family == IPv6 && ip.Unmap().Is4() {
		return nil, syscall.EAFNOSUPPORT
	}
	sa := &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		sa.ZoneId = zones.index(zone)
	}
	if ip.Is4() && ip.IsUnspecified() {
		sa.Addr = [16]byte{} // the wildcard of both families
	}
	return sa, nil
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			ip = ip.WithZone(zones.name(sa.ZoneId))
		}
		return netip.AddrPortFrom(ip, uint16(sa.Port))
	}
	return netip.AddrPort{}
}
