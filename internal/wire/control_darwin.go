package wire

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	tosMessage  = unix.IP_RECVTOS
	sendTOSSize = 4
)

// parseSystemMessage reads what only this system sends, or fills in like this:
// ipi_spec_dst says nothing (ip_savecontrol).
func (a *Ancillary) parseSystemMessage(level, kind int32, data []byte) {
	if level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) == unix.SizeofInet4Pktinfo {
		a.Control.IfIndex = number(data[:4])
		a.setDestination(netip.AddrFrom4([4]byte(data[8:])))
	}
}
