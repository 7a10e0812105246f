//go:build freebsd || netbsd || openbsd

package socket

import (
	"errors"

	"golang.org/x/sys/unix"
)

// interface4 says that a datagram can name the interface to leave by over IPv4.
const interface4 = false

// appendSource4 names the address to send from. The interface is no loss with an address that belongs to one.
func appendSource4(b *[]byte, c *Control) error {
	if !c.Local.Unmap().Is4() {
		return errors.ErrUnsupported
	}
	local := c.Local.Unmap().As4()
	// IP_SENDSRCADDR has the number of IP_RECVDSTADDR (ip(4)).
	copy(appendMessage(b, unix.IPPROTO_IP, unix.IP_RECVDSTADDR, len(local)), local[:])
	return nil
}
