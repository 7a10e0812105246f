//go:build darwin || freebsd || netbsd || openbsd

package socket

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/datagram/internal/buffer"
)

// decodeTime reads a struct timeval.
func decodeTime(data []byte) time.Time {
	if len(data) != int(unsafe.Sizeof(unix.Timeval{})) {
		return time.Time{}
	}
	var value unix.Timeval
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&value)), len(data)), data)
	return time.Unix(value.Unix())
}

// minSendBuffer is room for the largest datagram with its control messages.
// SO_SNDBUF is no more than 9216 by default, and bounds each datagram: see
// exceedsSendBuffer.
const minSendBuffer = buffer.Size + controlSize

// forgetsAddress says that a socket whose association is dissolved is bound to all addresses, and cannot be
// bound again (udp_disconnect, in_pcbbind).
const forgetsAddress = true

// emptyControl says that an empty datagram can have control messages. Package
// syscall would give it a byte to carry them (sendmsgN of syscall_bsd.go).
const emptyControl = false

// ipv4OnDual says that sockets of IPv6 take the options of IPv4. Here they refuse most of them with EINVAL
// (udp_ctloutput; github.com/mobile-shell/mosh/issues/659, github.com/robovm/robovm/issues/75).
const ipv4OnDual = false
