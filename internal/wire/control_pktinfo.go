//go:build linux || darwin

package wire

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// appendSource4 names the address and the interface to send from.
func appendSource4(b *[]byte, c *Control) {
	data := appendMessage(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	binary.NativeEndian.PutUint32(data, uint32(c.IfIndex))
	if c.Local.IsValid() {
		local := c.Local.Unmap().As4()
		copy(data[4:], local[:]) // ipi_spec_dst; the kernel ignores ipi_addr
	}
}
