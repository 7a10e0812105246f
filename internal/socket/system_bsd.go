//go:build darwin || freebsd || netbsd || openbsd

package socket

import (
	"golang.org/x/sys/unix"

	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/wire"
)

const (
	reuseAddr    = unix.SO_REUSEPORT // includes SO_REUSEADDR (libuv, uv__set_reuse)
	receiveTime  = unix.SO_TIMESTAMP
	pendingError = unix.SO_ERROR

	// minSendBuffer is room for the largest datagram with its control messages.
	// The send buffer is no more than 9216 bytes by default, and bounds each
	// datagram: see exceedsSendBuffer.
	minSendBuffer = buffer.Size + wire.ControlSize

	// emptyControl says that an empty datagram can have control messages.
	// Package syscall would give it a byte to carry them (sendmsgN of
	// syscall_bsd.go).
	emptyControl = false
)

var dontFragment6 = switchOption{unix.IPV6_DONTFRAG, 0, 1}
