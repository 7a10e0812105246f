package socket

import (
	"errors"
	"os"
	"syscall"
)

func descriptor(fd uintptr) syscall.Handle { return syscall.Handle(fd) }

// Open is not supported: package os cannot wait for sockets on Windows.
func (Kernel) Open(*os.File, Config) (Socket, error) { return nil, errors.ErrUnsupported }

// File is not supported: package net cannot duplicate sockets on Windows.
func (k *kernelSocket) File() (*os.File, error) {
	if err := k.control(func(uintptr) error { return nil }); err != nil {
		return nil, err
	}
	return nil, errors.ErrUnsupported
}

// Readable is not known.
func (k *kernelSocket) Readable() bool { return true }
