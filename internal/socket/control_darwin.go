package socket

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// parseSystemMessage reads a control message that other systems have not, or fill differently: here
// ipi_spec_dst says nothing (ip_savecontrol).
func parseSystemMessage(level, kind int32, data []byte, m *Incoming) {
	if level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) == unix.SizeofInet4Pktinfo {
		m.Control.IfIndex = number(data[:4])
		m.setDestination(netip.AddrFrom4([4]byte(data[8:])))
	}
}
