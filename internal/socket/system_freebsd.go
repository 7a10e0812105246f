package socket

import "golang.org/x/sys/unix"

const (
	reuseAddr      = unix.SO_REUSEPORT // includes SO_REUSEADDR (libuv, uv__set_reuse)
	reusePort      = unix.SO_REUSEPORT_LB
	socketProtocol = unix.SO_PROTOCOL

	receiveTime = unix.SO_TIMESTAMP
	timeMessage = unix.SCM_TIMESTAMP
	receiveTOS  = unix.IP_RECVTOS
	tosMessage  = unix.IP_RECVTOS
	ttlMessage  = unix.IP_RECVTTL
	ttlSize     = 1
	sendTOSSize = 1
	sendTTL     = 0
	closeOnExec = unix.MSG_CMSG_CLOEXEC
)

var (
	dontFragment4 = switchOption{unix.IP_DONTFRAG, 0, 1}
	dontFragment6 = switchOption{unix.IPV6_DONTFRAG, 0, 1}
)
