package socket

import (
	"net"

	"golang.org/x/sys/unix"
)

const (
	reuseAddr      = unix.SO_REUSEPORT // includes SO_REUSEADDR (libuv, uv__set_reuse)
	reusePort      = 0                 // SO_REUSEPORT spreads no load (libuv, uv__sock_reuseport)
	socketProtocol = 0

	receiveTime = unix.SO_TIMESTAMP
	timeMessage = unix.SCM_TIMESTAMP
	receiveTOS  = unix.IP_RECVTOS
	tosMessage  = unix.IP_RECVTOS
	ttlMessage  = unix.IP_RECVTTL
	ttlSize     = 1
	sendTOSSize = 4
	sendTTL     = 0
	closeOnExec = 0
)

var (
	dontFragment4 = switchOption{unix.IP_DONTFRAG, 0, 1}
	dontFragment6 = switchOption{unix.IPV6_DONTFRAG, 0, 1}
)

func (h *handle) bindToDevice(name string) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	if h.family == IPv4 {
		return h.setInt(unix.IPPROTO_IP, unix.IP_BOUND_IF, ifi.Index)
	}
	// It is the option of both families, and a dual-stack socket refuses that of IPv4 (inp_bindif, ip6_ctloutput).
	return h.setInt(unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF, ifi.Index)
}
