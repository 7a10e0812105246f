//go:build freebsd || netbsd || openbsd

package wire

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	tosMessage  = 68 // IP_RECVTOS of FreeBSD; the other two have none
	sendTOSSize = 1
)

// parseSystemMessage reads what only these systems send (ip(4)).
func (a *Ancillary) parseSystemMessage(level, kind int32, data []byte) {
	switch {
	case level == unix.IPPROTO_IP && kind == unix.IP_RECVDSTADDR && len(data) == 4:
		a.setDestination(netip.AddrFrom4([4]byte(data)))

	case level == unix.IPPROTO_IP && kind == unix.IP_RECVIF && len(data) >= 4:
		// A struct sockaddr_dl begins with its length, its family and the index
		// of the interface.
		a.Control.IfIndex = int(binary.NativeEndian.Uint16(data[2:]))
	}
}

// appendSource4 names the address to send from, which belongs to an interface.
func appendSource4(b *[]byte, c *Control) {
	local := c.Local.Unmap().As4()
	// IP_SENDSRCADDR has the number of IP_RECVDSTADDR (ip(4)).
	copy(appendMessage(b, unix.IPPROTO_IP, unix.IP_RECVDSTADDR, len(local)), local[:])
}
