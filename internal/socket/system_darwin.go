package socket

import (
	"net"

	"golang.org/x/sys/unix"
)

const (
	reusePort      = 0
	socketProtocol = 0
	receiveTOS     = unix.IP_RECVTOS
	closeOnExec    = 0
)

var dontFragment4 = switchOption{unix.IP_DONTFRAG, 0, 1}

func (k *kernelSocket) bindToDevice(name string) error {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	if k.family == IPv4 {
		return k.setInt(unix.IPPROTO_IP, unix.IP_BOUND_IF, ifi.Index)
	}
	// It is the option of both families: a dual-stack socket refuses that of IPv4 (inp_bindif, ip6_ctloutput).
	return k.setInt(unix.IPPROTO_IPV6, unix.IPV6_BOUND_IF, ifi.Index)
}
