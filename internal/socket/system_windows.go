package socket

import (
	"errors"
	"os"
	"syscall"
)

const (
	reuseAddr   = syscall.SO_REUSEADDR
	reusePort   = 0
	receiveTime = 0
	receiveTOS  = 0
	ipv4OnDual  = true

	minSendBuffer  = 0
	forgetsAddress = false
)

// IP_DONTFRAGMENT and IPV6_DONTFRAG of ws2ipdef.h, which golang.org/x/sys lacks.
var (
	dontFragment4 = switchOption{14, 0, 1}
	dontFragment6 = switchOption{14, 0, 1}
)

func descriptor(fd uintptr) syscall.Handle { return syscall.Handle(fd) }

// File is not supported: package net cannot duplicate sockets on Windows.
func (h *handle) File() (*os.File, error) {
	if err := h.control(func(uintptr) error { return nil }); err != nil {
		return nil, err
	}
	return nil, errors.ErrUnsupported
}

// Open is not supported: package os cannot wait for sockets on Windows.
func (Kernel) Open(*os.File, Config) (Socket, error) { return nil, errors.ErrUnsupported }
