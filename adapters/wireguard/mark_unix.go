//go:build linux || freebsd || openbsd

package wireguard

import (
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// markOption is the socket option that wireguard-go uses for marks: SO_MARK (socket(7)),
// SO_USER_COOKIE (FreeBSD's setsockopt(2)) or SO_RTABLE (OpenBSD's setsockopt(2)).
var markOption = map[string]int{"linux": 0x24, "freebsd": 0x1015, "openbsd": 0x1021}[runtime.GOOS]

// SetMark implements [conn.Bind].
func (b *Bind) SetMark(mark uint32) error {
	c := b.Conn()
	if c == nil {
		return net.ErrClosed
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, markOption, int(mark))
	}); err != nil {
		return err
	}
	return failed
}
