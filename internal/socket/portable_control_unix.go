//go:build unix

package socket

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// parsePortableControl reads the control messages of a received message.
func parsePortableControl(b []byte, family Family, m *Incoming, z *zones) {
	c := &m.Control
	if family == IPv6 || family == Dual {
		var message ipv6.ControlMessage
		if message.Parse(b) == nil {
			c.Local, c.IfIndex = address(message.Dst), message.IfIndex
			c.HopLimit, c.TrafficClass = message.HopLimit, uint8(message.TrafficClass)
		}
	}
	if family == IPv4 || family == Dual {
		var message ipv4.ControlMessage
		if message.Parse(b) == nil {
			if message.Dst != nil {
				c.Local, c.IfIndex = address(message.Dst), message.IfIndex
			}
			if message.TTL != 0 {
				c.HopLimit = message.TTL
			}
		}
	}
	if ip := c.Local; ip.Is6() && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()) {
		c.Local = ip.WithZone(z.name(uint32(c.IfIndex)))
	}
	m.Elsewhere = c.Local.IsMulticast() || c.Local == broadcast
	parseSystemControl(b, m)
}

// broadcast is the broadcast address of every network. That of a particular
// one looks like any other address.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

func address(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// parseSystemControl reads what golang.org/x/net does not.
func parseSystemControl(b []byte, m *Incoming) {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return
	}
	for i := range messages {
		header, data := &messages[i].Header, messages[i].Data
		switch {
		case header.Level == unix.SOL_SOCKET && header.Type == timeMessage:
			m.Control.Time = decodeTime(data)

		case header.Level == unix.SOL_SOCKET && header.Type == unix.SCM_RIGHTS:
			closeRights(data)

		case header.Level == unix.IPPROTO_IP && header.Type == tosMessage && tosMessage != 0 && len(data) > 0,
			// macOS may give it the length of its IPv4 counterpart.
			header.Level == unix.IPPROTO_IPV6 && header.Type == unix.IPV6_TCLASS && len(data) == 1:
			m.Control.TrafficClass = data[0]
		}
	}
}
