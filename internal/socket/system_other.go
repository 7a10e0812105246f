//go:build !linux

package socket

import (
	"errors"
	"syscall"
)

// This file is what Linux has and the others do not.

const (
	pathMTU4, pathMTU6                = 0, 0
	forceReadBuffer, forceWriteBuffer = 0, 0
	bufferCharge                      = 1
	noNetwork                         = syscall.ECONNREFUSED // for ENONET
)

var bufferLimits = map[Option]string{ReadBuffer: "the system's limit", WriteBuffer: "the system's limit"}

// release is not known.
func release() string { return "" }

func newLinuxSocket(k *kernelSocket) Socket { return newPortableSocket(k) }

func isPortable(Config) bool { return true }

func (k *kernelSocket) offload(Config) { k.noOffload() }

// hearOnlyJoined does nothing: a socket hears what it joined.
func (k *kernelSocket) hearOnlyJoined() {}

func (k *kernelSocket) hearsAllGroups() bool { return false }

func (k *kernelSocket) reportNetworkErrors() error { return errors.ErrUnsupported }

// hearsNetworkErrors is false: only connected sockets are told of them.
func (k *kernelSocket) hearsNetworkErrors() bool { return false }

// relieve is for sockets on which somebody asked for network errors.
func (k *kernelSocket) relieve() {}
