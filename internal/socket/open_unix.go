//go:build unix

package socket

import (
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// unixgram is package net's name for datagram sockets of AF_UNIX.
const unixgram = "unixgram"

func descriptor(fd uintptr) int { return int(fd) }

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

// Open makes a Socket of a duplicate of the descriptor.
func (Kernel) Open(f *os.File, config Config) (Socket, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, closed(err)
	}
	h := &handle{limits: config.Limits}
	h.zones.socket = h
	var dup *os.File
	if e := raw.Control(func(fd uintptr) { dup, err = h.open(fd) }); e != nil {
		return nil, closed(e)
	}
	if err != nil {
		return nil, err
	}
	h.raw, err = dup.SyscallConn()
	if err == nil {
		local := h.Info().Local
		err = h.configure(h.network, local.String(), !local.IsValid() || local.Addr().IsUnspecified(), config)
	}
	if err != nil {
		dup.Close()
		return nil, err
	}
	if h.udp && isPortable(config) {
		return h.openPortable(dup, config)
	}
	return adopt(h, dup, config)
}

// openPortable gives a UDP socket to package net, which reads its senders'
// addresses without allocating them.
func (h *handle) openPortable(f *os.File, config Config) (Socket, error) {
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
	return adopt(h, udp, config)
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
		h.family, h.network = IPv4, "udp4"
	case *unix.SockaddrInet6:
		h.family, h.network = IPv6, "udp6"
		if only, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); err == nil && only == 0 {
			h.family, h.network = Dual, "udp"
		}
	case *unix.SockaddrUnix:
		h.network = unixgram
	default:
		// x/sys does not know every family: that is no error.
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, os.NewSyscallError("getsockname", err)
		}
		h.network = "socket"
	}
	h.udp = h.family != Other && kind == unix.SOCK_DGRAM && isUDP(fd)
	if h.family != Other && !h.udp {
		h.network = "ip"
	}
	h.device = boundDevice(fd)
	if err := unix.SetNonblock(int(fd), true); err != nil {
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return duplicate(fd, h.network)
}

// receiveFlags are those that every receive passes.
func (h *handle) receiveFlags() int {
	// A descriptor that others share may have lost O_NONBLOCK.
	flags := unix.MSG_DONTWAIT
	if h.network == unixgram {
		flags |= closeOnExec // packet sockets refuse the flag
	}
	return flags
}

// isUDP tells UDP from other protocols that have datagram sockets, such as the
// unprivileged ICMP of Linux and macOS. Where the system does not say, it is UDP.
func isUDP(fd uintptr) bool {
	if socketProtocol == 0 {
		return true
	}
	protocol, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, socketProtocol)
	return err != nil || protocol == unix.IPPROTO_UDP
}
