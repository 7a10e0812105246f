package testenv

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Warnings returns warnings about what may make tests fail in the network namespace of the calling
// thread.
func Warnings() (warnings []string) {
	for _, loopback := range []struct {
		address            string
		level, option, mtu int // MTU of the loopback interface, or the size of the largest packet
		flush              string
	}{
		{"127.0.0.1:9", unix.SOL_IP, unix.IP_MTU, 65535, "ip route flush cache"},
		{"[::1]:9", unix.SOL_IPV6, unix.IPV6_MTU, 65536, "ip -6 route flush cache"},
	} {
		conn, err := net.Dial("udp", loopback.address)
		if err != nil {
			continue // the tests themselves report what they lack
		}
		raw, err := conn.(*net.UDPConn).SyscallConn()
		if err == nil {
			_ = raw.Control(func(fd uintptr) {
				mtu, err := unix.GetsockoptInt(int(fd), loopback.level, loopback.option)
				if err == nil && mtu < loopback.mtu {
					warnings = append(warnings, fmt.Sprintf("the path MTU to %s is %d: tests that send larger datagrams may fail. "+
						"If an ICMP message lowered it, which lasts ten minutes (net.ipv4.route.mtu_expires), %q resets it.",
						conn.RemoteAddr().(*net.UDPAddr).IP, mtu, loopback.flush))
				}
			})
		}
		conn.Close()
	}
	return warnings
}
