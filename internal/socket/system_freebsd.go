package socket

import "golang.org/x/sys/unix"

const (
	reusePort      = unix.SO_REUSEPORT_LB
	socketProtocol = unix.SO_PROTOCOL
	receiveTOS     = unix.IP_RECVTOS
	closeOnExec    = unix.MSG_CMSG_CLOEXEC
)

var dontFragment4 = switchOption{unix.IP_DONTFRAG, 0, 1}
