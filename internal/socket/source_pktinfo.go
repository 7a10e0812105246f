//go:build linux || darwin

package socket

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// interface4 says that a datagram can name the interface to leave by over IPv4.
const interface4 = true

// appendSource4 names the address and interface to send from.
func appendSource4(b *[]byte, c *Control) error {
	data := appendMessage(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	binary.NativeEndian.PutUint32(data, uint32(c.IfIndex))
	if c.Local.Unmap().Is4() {
		local := c.Local.Unmap().As4()
		copy(data[4:], local[:]) // ipi_spec_dst; ipi_addr is ignored
	}
	return nil
}
