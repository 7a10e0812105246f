package socket

import "syscall"

const (
	reuseAddr    = syscall.SO_REUSEADDR
	reusePort    = 0
	receiveTime  = 0
	receiveTOS   = 0
	pendingError = 0x1007 // SO_ERROR of winsock2.h

	minSendBuffer = 0
)

// IP_DONTFRAGMENT and IPV6_DONTFRAG of ws2ipdef.h, which golang.org/x/sys lacks.
var (
	dontFragment4 = switchOption{14, 0, 1}
	dontFragment6 = switchOption{14, 0, 1}
)
