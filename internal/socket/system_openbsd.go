package socket

import "golang.org/x/sys/unix"

const (
	reusePort      = 0
	socketProtocol = unix.SO_PROTOCOL
	receiveTOS     = 0
	closeOnExec    = unix.MSG_CMSG_CLOEXEC
)

var dontFragment4 = switchOption{}
