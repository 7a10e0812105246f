package wire

import "golang.org/x/sys/windows"

// The flags of a received message whose payload, or whose control messages, did not fit.
const (
	Truncated        = windows.MSG_TRUNC
	ControlTruncated = windows.MSG_CTRUNC
)
