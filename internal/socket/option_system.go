package socket

import (
	"errors"
	"os"
	"syscall"
)

// This file has the options of SOL_SOCKET, and options by their numbers. Those
// are in the files named after the systems, 0 for what a system does not have.
// Package syscall serves rather than golang.org/x/sys because it has the same
// functions on Windows as elsewhere.

// setSocketOption sets an option of SOL_SOCKET.
func (k *kernelSocket) setSocketOption(option Option, value int) error {
	name, force := 0, 0
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
	}
	if !options[option].on.IPv4.Here() {
		return errors.ErrUnsupported
	}
	// Who may exceed the system's limit does.
	if force != 0 && k.setInt(syscall.SOL_SOCKET, force, value) == nil {
		return nil
	}
	return k.setInt(syscall.SOL_SOCKET, name, value)
}

// socketOption returns the value of an option of SOL_SOCKET.
func (k *kernelSocket) socketOption(option Option) (int, error) {
	if !options[option].on.IPv4.Here() {
		return 0, errors.ErrUnsupported
	}
	name := map[Option]int{
		ReadBuffer: syscall.SO_RCVBUF, WriteBuffer: syscall.SO_SNDBUF,
		Broadcast: syscall.SO_BROADCAST, ReusePort: reusePort,
	}[option]
	return k.getInt(syscall.SOL_SOCKET, name)
}

// A switchOption is an option with the values that stand for off and on.
type switchOption struct{ name, off, on int }

func (k *kernelSocket) setSwitch(level int, option switchOption, value int) error {
	if value == 0 {
		return k.setInt(level, option.name, option.off)
	}
	return k.setInt(level, option.name, option.on)
}

func (k *kernelSocket) getInt(level, name int) (value int, err error) {
	err = k.control(func(fd uintptr) (err error) {
		value, err = syscall.GetsockoptInt(descriptor(fd), level, name)
		return unsupported(os.NewSyscallError("getsockopt", err))
	})
	return value, err
}

func (k *kernelSocket) setInt(level, name, value int) error {
	return k.control(func(fd uintptr) error {
		return unsupported(os.NewSyscallError("setsockopt", syscall.SetsockoptInt(descriptor(fd), level, name, value)))
	})
}

// raiseSendBuffer makes the send buffer at least as large as size.
func (k *kernelSocket) raiseSendBuffer(size int) {
	if now, err := k.socketOption(WriteBuffer); err == nil && now < size {
		_ = k.setInt(syscall.SOL_SOCKET, syscall.SO_SNDBUF, size)
	}
}

// ShortBuffer says why a buffer is smaller than was asked for. It returns
// nothing if it is not.
func ShortBuffer(option Option, asked, reported int) string {
	if reported/bufferCharge >= asked {
		return ""
	}
	return bufferLimits[option]
}
