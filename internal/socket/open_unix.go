//go:build unix

package socket

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/wire"
)

func descriptor(fd uintptr) int { return int(fd) }

// File returns a duplicate of the descriptor.
func (k *kernelSocket) File() (*os.File, error) {
	var f *os.File
	k.shared.Store(true)
	err := k.control(func(fd uintptr) (err error) {
		f, err = duplicate(fd, k.network)
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

// Open makes a Socket of a duplicate of the descriptor. If it is not UDP, errors
// name its network.
func (Kernel) Open(f *os.File, config Config) (Socket, error) {
	k := &kernelSocket{limits: config.Limits}
	k.zones.socket = k
	k.shared.Store(true)
	s, err := k.openFile(f, config)
	if err != nil && k.network != "" && !k.udp {
		err = &net.OpError{Op: "open", Net: k.network, Err: err}
	}
	return s, err
}

func (k *kernelSocket) openFile(f *os.File, config Config) (Socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, closed(err)
	}
	var dup *os.File
	if e := raw.Control(func(fd uintptr) { dup, err = k.open(fd) }); e != nil {
		return nil, closed(e)
	}
	if err != nil {
		return nil, err
	}
	k.raw, err = dup.SyscallConn()
	if err == nil {
		err = k.configure(k.network, k.Info().Local.String(), config)
	}
	if err != nil {
		dup.Close()
		return nil, err
	}
	if k.udp && isPortable(config) {
		return k.openPortable(dup, config)
	}
	return k.adopt(dup, config)
}

// openPortable gives a UDP socket to package net, which reads its senders'
// addresses without allocating them.
func (k *kernelSocket) openPortable(f *os.File, config Config) (Socket, error) {
	defer f.Close()
	conn, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		conn.Close()
		return nil, unix.EPROTOTYPE
	}
	return k.adopt(udp, config)
}

// open examines a descriptor and duplicates it.
func (k *kernelSocket) open(fd uintptr) (*os.File, error) {
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
		k.family, k.network = IPv4, "udp4"
	case *unix.SockaddrInet6:
		k.family, k.network = IPv6, "udp6"
		if only, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err == nil && only == 0 {
			k.family, k.network = Dual, "udp"
		}
	case *unix.SockaddrUnix:
		k.network = wire.Unixgram
	default:
		// That x/sys does not know the family is no error.
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, os.NewSyscallError("getsockname", err)
		}
		k.network = "socket"
	}
	k.udp = k.family != Other && kind == unix.SOCK_DGRAM && isUDP(fd)
	if k.family != Other && !k.udp {
		k.network = "ip"
	}
	k.device = boundDevice(fd)
	if err := unix.SetNonblock(int(fd), true); err != nil {
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return duplicate(fd, k.network)
}

// receiveFlags are the flags of every receive: whoever shares the descriptor may
// have cleared O_NONBLOCK.
func (k *kernelSocket) receiveFlags() int {
	flags := unix.MSG_DONTWAIT
	if k.network == wire.Unixgram {
		flags |= closeOnExec // packet sockets refuse the flag
	}
	return flags
}

// isUDP tells UDP from other protocols with datagram sockets, such as the
// unprivileged ICMP of Linux and macOS. Where the system does not tell, it is
// UDP.
func isUDP(fd uintptr) bool {
	if socketProtocol == 0 {
		return true
	}
	protocol, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, socketProtocol)
	return err != nil || protocol == unix.IPPROTO_UDP
}

// Readable asks the kernel.
func (k *kernelSocket) Readable() bool {
	readable := true
	_ = k.control(func(fd uintptr) error {
		readable = isReadable(fd)
		return nil
	})
	return readable
}

// isReadable reports whether there is something to read, or an error.
func isReadable(fd uintptr) bool {
	polled := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(polled[:], 0)
		if err != unix.EINTR {
			return n != 0 || err != nil
		}
	}
}
