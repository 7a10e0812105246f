package datagramtest

import (
	"cmp"
	"errors"
	"os"
	"syscall"

	"example.com/datagram/internal/socket"
)

// defaultOptions are those of Linux, except for the receive buffer. It overflows only in tests that
// ask for that, since the seed does not control when the reader's goroutine runs.
var defaultOptions = [socket.Options]int{
	socket.TTL:               64,
	socket.MulticastTTL:      1,
	socket.MulticastLoopback: 1,
	socket.ReadBuffer:        64 << 20,
	socket.WriteBuffer:       212992, // net.core.wmem_default where pages have 4 KiB
}

// The smallest buffers that Linux grants (SOCK_MIN_RCVBUF, SOCK_MIN_SNDBUF).
const minReadBuffer, minWriteBuffer = 2304, 4608

// SetOption sets an option.
func (e *endpoint) SetOption(option socket.Option, value int) error {
	return e.do(func() error { return os.NewSyscallError("setsockopt", e.setOption(option, value)) })
}

func (e *endpoint) setOption(option socket.Option, value int) error {
	switch option {
	case socket.IPv6Only:
		if e.family == socket.IPv4 || e.host != nil {
			return syscall.EINVAL
		}
		e.family = socket.Dual
		if value != 0 {
			e.family = socket.IPv6
		}
	case socket.TTL, socket.MulticastTTL:
		if value < 1 || value > 255 {
			return syscall.EINVAL
		}
	case socket.MulticastInterface:
		if value < 0 || value > networkIndex {
			if e.family == socket.IPv6 {
				return syscall.ENODEV
			}
			return syscall.EADDRNOTAVAIL
		}
	case socket.ReadBuffer: // Linux doubles sizes to account for its own overhead
		value = max(2*min(value, maxBuffer), minReadBuffer)
	case socket.WriteBuffer:
		value = max(2*min(value, maxBuffer), minWriteBuffer)
	case socket.Steering: // there are no processors
		return errors.ErrUnsupported
	case socket.PathMTU, socket.CopiesOption:
		return syscall.ENOPROTOOPT
	}
	e.options[option] = value
	return nil
}

// maxBuffer keeps a buffer's size within 32 bits (INT_MAX/2 in sock_setsockopt).
const maxBuffer = 1<<30 - 1

// Option reads an option.
func (e *endpoint) Option(option socket.Option) (value int, err error) {
	err = e.do(func() error {
		value = e.options[option]
		switch {
		case option == socket.CopiesOption && e.isWildcard():
			value = int(socket.ElsewhereCopies)
		case option != socket.PathMTU:
		case !e.peer.IsValid():
			return os.NewSyscallError("getsockopt", syscall.ENOTCONN)
		default:
			value = cmp.Or(e.network.link(e.address(), e.peer.Addr()).MTU, unlimitedMTU)
		}
		return nil
	})
	return value, err
}

func asInt(on bool) int {
	if on {
		return 1
	}
	return 0
}
