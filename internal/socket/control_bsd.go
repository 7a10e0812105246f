//go:build freebsd || netbsd || openbsd

package socket

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// parseSystemMessage reads a control message that other systems have not (ip(4)).
func parseSystemMessage(level, kind int32, data []byte, m *Incoming) {
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_RECVDSTADDR && len(data) == 4:
		m.setDestination(netip.AddrFrom4([4]byte(data)))

	case level == unix.IPPROTO_IP && kind == unix.IP_RECVIF && len(data) >= 4:
		// struct sockaddr_dl, which begins with its length, its family and the index of the interface.
		m.Control.IfIndex = int(binary.NativeEndian.Uint16(data[2:]))
	}
}
