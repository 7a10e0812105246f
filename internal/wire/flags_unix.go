//go:build unix

package wire

import "golang.org/x/sys/unix"

// The flags of a received message whose payload, or whose control messages, did not fit.
const (
	Truncated        = unix.MSG_TRUNC
	ControlTruncated = unix.MSG_CTRUNC
)
