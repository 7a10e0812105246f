package socket

import "golang.org/x/sys/unix"

const (
	reuseAddr      = unix.SO_REUSEPORT // includes SO_REUSEADDR (libuv, uv__set_reuse)
	reusePort      = 0                 // SO_REUSEPORT spreads no load (libuv, uv__sock_reuseport)
	socketProtocol = unix.SO_PROTOCOL

	receiveTime = unix.SO_TIMESTAMP
	timeMessage = unix.SCM_TIMESTAMP
	receiveTOS  = 0
	tosMessage  = 0
	ttlMessage  = unix.IP_RECVTTL
	ttlSize     = 1
	sendTOSSize = 0
	sendTTL     = 0
	closeOnExec = unix.MSG_CMSG_CLOEXEC
)

var (
	dontFragment4 = switchOption{}
	dontFragment6 = switchOption{unix.IPV6_DONTFRAG, 0, 1}
)
