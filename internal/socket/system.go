package socket

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// What differs between systems is in the files named after them: the numbers
// of the options, 0 for those that a system has not, and the type of a
// descriptor. Package syscall serves here rather than golang.org/x/sys because
// it has the same functions on Windows as elsewhere.

// setSystemOption sets an option that golang.org/x/net has no name for.
func (h *handle) setSystemOption(option Option, value int) error {
	level, name, force := syscall.SOL_SOCKET, 0, 0
	switch option {
	case ReuseAddr:
		name = reuseAddr
	case ReusePort:
		name = reusePort
	case Broadcast:
		name = syscall.SO_BROADCAST
	case ReadBuffer:
		name, force = syscall.SO_RCVBUF, forceReadBuffer
	case WriteBuffer:
		name, force = syscall.SO_SNDBUF, forceWriteBuffer
	case ReceiveTime:
		name = receiveTime
	case IPv6Only:
		level, name = syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY
	}
	if name == 0 {
		return errors.ErrUnsupported
	}
	// Who may pass the system's limit does.
	if force != 0 && h.setInt(level, force, value) == nil {
		return nil
	}
	return h.setInt(level, name, value)
}

// supports says whether a socket on this system can have an option that tells about received
// datagrams, or DontFragment.
func (h *handle) supports(option Option) bool {
	v4, v6 := h.family != IPv6, h.family != IPv4
	switch {
	case option == ReceiveTime:
		return receiveTime != 0
	case h.family == Other:
		return false
	case option == DontFragment:
		return (!v4 || dontFragment4.name != 0) && (!v6 || dontFragment6.name != 0)
	case h.family == Dual && !ipv4OnDual:
		return false
	case option == ReceiveTrafficClass && v4 && receiveTOS == 0:
		return false
	}
	return controlSize > 0
}

// System names the operating system, its release if known, and the architecture.
func System() string {
	return strings.Join(strings.Fields(runtime.GOOS+" "+release()+" "+runtime.GOARCH), " ")
}

// ShortBuffer says why a buffer is smaller than was asked for, nothing if it is not.
func ShortBuffer(option Option, asked, reported int) string {
	if reported/bufferCharge >= asked {
		return ""
	}
	return bufferLimits[option]
}

// setSystemOption4 is setSystemOption for the options of IPv4.
func (h *handle) setSystemOption4(option Option, value int) error {
	switch {
	case option == ReceiveTrafficClass && receiveTOS != 0:
		return h.setInt(syscall.IPPROTO_IP, receiveTOS, value)
	case option == DontFragment && dontFragment4.name != 0:
		return h.setSwitch(syscall.IPPROTO_IP, dontFragment4, value)
	}
	return errors.ErrUnsupported
}

// setSystemOption6 is setSystemOption for the options of IPv6.
func (h *handle) setSystemOption6(option Option, value int) error {
	if option == DontFragment && dontFragment6.name != 0 {
		return h.setSwitch(syscall.IPPROTO_IPV6, dontFragment6, value)
	}
	return errors.ErrUnsupported
}

func (h *handle) systemOption4(option Option) (int, error) {
	if option == PathMTU && pathMTU4 != 0 {
		return h.getInt(syscall.IPPROTO_IP, pathMTU4)
	}
	return 0, errors.ErrUnsupported
}

func (h *handle) systemOption6(option Option) (int, error) {
	if option == PathMTU && pathMTU6 != 0 {
		return h.getInt(syscall.IPPROTO_IPV6, pathMTU6)
	}
	return 0, errors.ErrUnsupported
}

// A switchOption is an option with the values that stand for off and on.
type switchOption struct{ name, off, on int }

// setSwitch sets an option of an IP level.
func (h *handle) setSwitch(level int, option switchOption, value int) error {
	if value == 0 {
		return h.setInt(level, option.name, option.off)
	}
	return h.setInt(level, option.name, option.on)
}

func (h *handle) systemOption(option Option) (int, error) {
	name := map[Option]int{ReadBuffer: syscall.SO_RCVBUF, WriteBuffer: syscall.SO_SNDBUF, Broadcast: syscall.SO_BROADCAST}[option]
	return h.getInt(syscall.SOL_SOCKET, name)
}

// raiseSendBuffer makes the send buffer as large as size if it is smaller.
func (h *handle) raiseSendBuffer(size int) {
	if now, err := h.systemOption(WriteBuffer); err == nil && now < size {
		_ = h.setInt(syscall.SOL_SOCKET, syscall.SO_SNDBUF, size)
	}
}

func (h *handle) getInt(level, name int) (value int, err error) {
	err = h.control(func(fd uintptr) (err error) {
		value, err = syscall.GetsockoptInt(descriptor(fd), level, name)
		return unsupported(os.NewSyscallError("getsockopt", err))
	})
	return value, err
}

func (h *handle) setInt(level, name, value int) error {
	return h.control(func(fd uintptr) error {
		return unsupported(os.NewSyscallError("setsockopt", syscall.SetsockoptInt(descriptor(fd), level, name, value)))
	})
}
