package socket

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

func (k *kernelSocket) setOption4(option Option, value int) error {
	if !options[option].on.IPv4.Here() {
		return errors.ErrUnsupported
	}
	c := ipv4.NewPacketConn(packetConn{rawConn: k.raw})
	switch option {
	case TTL:
		return c.SetTTL(value)
	case TrafficClass:
		return c.SetTOS(value)
	case MulticastLoopback:
		return c.SetMulticastLoopback(value != 0)
	case MulticastTTL:
		return c.SetMulticastTTL(value)
	case MulticastInterface:
		return c.SetMulticastInterface(interfaceByIndex(value))
	case ReceiveLocal:
		return c.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, value != 0)
	case ReceiveHopLimit:
		return c.SetControlMessage(ipv4.FlagTTL, value != 0)
	case ReceiveTrafficClass:
		return k.setInt(syscall.IPPROTO_IP, receiveTOS, value)
	case DontFragment:
		return k.setSwitch(syscall.IPPROTO_IP, dontFragment4, value)
	}
	return errors.ErrUnsupported
}

func (k *kernelSocket) setOption6(option Option, value int) error {
	if !options[option].on.IPv6.Here() {
		return errors.ErrUnsupported
	}
	c := ipv6.NewPacketConn(packetConn{rawConn: k.raw})
	switch option {
	case TTL:
		return c.SetHopLimit(value)
	case TrafficClass:
		return c.SetTrafficClass(value)
	case MulticastLoopback:
		return c.SetMulticastLoopback(value != 0)
	case MulticastTTL:
		return c.SetMulticastHopLimit(value)
	case MulticastInterface:
		return c.SetMulticastInterface(interfaceByIndex(value))
	case ReceiveLocal:
		return c.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, value != 0)
	case ReceiveHopLimit:
		return c.SetControlMessage(ipv6.FlagHopLimit, value != 0)
	case ReceiveTrafficClass:
		return c.SetControlMessage(ipv6.FlagTrafficClass, value != 0)
	case DontFragment:
		return k.setSwitch(syscall.IPPROTO_IPV6, dontFragment6, value)
	}
	return errors.ErrUnsupported
}

func (k *kernelSocket) option4(option Option) (int, error) {
	if !options[option].on.IPv4.Here() {
		return 0, errors.ErrUnsupported
	}
	c := ipv4.NewPacketConn(packetConn{rawConn: k.raw})
	switch option {
	case TTL:
		return c.TTL()
	case TrafficClass:
		return c.TOS()
	case MulticastLoopback:
		return asInt(c.MulticastLoopback())
	case MulticastTTL:
		return c.MulticastTTL()
	case PathMTU:
		return k.getInt(syscall.IPPROTO_IP, pathMTU4)
	}
	return 0, errors.ErrUnsupported
}

func (k *kernelSocket) option6(option Option) (int, error) {
	if !options[option].on.IPv6.Here() {
		return 0, errors.ErrUnsupported
	}
	c := ipv6.NewPacketConn(packetConn{rawConn: k.raw})
	switch option {
	case TTL:
		return c.HopLimit()
	case TrafficClass:
		return c.TrafficClass()
	case MulticastLoopback:
		return asInt(c.MulticastLoopback())
	case MulticastTTL:
		return c.MulticastHopLimit()
	case PathMTU:
		return k.getInt(syscall.IPPROTO_IPV6, pathMTU6)
	}
	return 0, errors.ErrUnsupported
}

func asInt(on bool, err error) (int, error) {
	if on {
		return 1, err
	}
	return 0, err
}

// interfaceByIndex makes what golang.org/x/net wants of an index.
func interfaceByIndex(index int) *net.Interface {
	if index == 0 {
		return nil
	}
	return &net.Interface{Index: index}
}

// packetConn is what golang.org/x/net needs to set the options of a socket: a
// net.PacketConn and net.Conn that has a raw connection and looks like UDP.
type packetConn struct {
	net.PacketConn
	rawConn syscall.RawConn
}

func (c packetConn) SyscallConn() (syscall.RawConn, error) { return c.rawConn, nil }

func (packetConn) RemoteAddr() net.Addr      { return nil }
func (packetConn) Read([]byte) (int, error)  { return 0, errors.ErrUnsupported }
func (packetConn) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

func (packetConn) ReadMsgUDP([]byte, []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	return 0, 0, 0, nil, errors.ErrUnsupported
}
