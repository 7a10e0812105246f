package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// An Option is a socket option with an integer value, 0 or 1 for a switch.
type Option uint8

// The options, in the order in which they are applied to a new socket.
const (
	ReuseAddr Option = iota
	ReusePort
	IPv6Only
	Broadcast
	ReadBuffer
	WriteBuffer
	TTL
	TrafficClass
	MulticastLoopback
	MulticastTTL
	MulticastInterface // an interface index, 0 for the system's choice
	ReceiveLocal
	ReceiveHopLimit
	ReceiveTrafficClass
	ReceiveTime
	DontFragment
	PathMTU // of a connected socket, to read
	Options // how many there are
)

var optionNames = [Options]string{
	ReuseAddr:           "address reuse",
	ReusePort:           "port reuse",
	IPv6Only:            "IPv6 only",
	Broadcast:           "broadcast",
	ReadBuffer:          "read buffer",
	WriteBuffer:         "write buffer",
	TTL:                 "TTL",
	TrafficClass:        "traffic class",
	MulticastLoopback:   "multicast loopback",
	MulticastTTL:        "multicast TTL",
	MulticastInterface:  "multicast interface",
	ReceiveLocal:        "local address metadata",
	ReceiveHopLimit:     "hop limit metadata",
	ReceiveTrafficClass: "traffic class metadata",
	ReceiveTime:         "time stamp metadata",
	DontFragment:        "don't fragment",
	PathMTU:             "path MTU",
}

// String returns the option's name in an error message.
func (o Option) String() string { return optionNames[o] }

// SetOption sets an option for each family that the socket serves.
func (h *handle) SetOption(option Option, value int) error {
	switch option {
	case ReuseAddr, ReusePort, Broadcast, ReadBuffer, WriteBuffer, ReceiveTime:
		return h.setSystemOption(option, value)
	case IPv6Only:
		if h.family == Other {
			return errors.ErrUnsupported
		}
		if h.family != IPv6 && h.family != Dual {
			return syscall.EINVAL
		}
		if err := h.setSystemOption(option, value); err != nil {
			return err
		}
		h.family = Dual
		if value != 0 {
			h.family = IPv6
		}
		return nil
	}
	if h.family == Other {
		return errors.ErrUnsupported
	}
	if h.family != IPv6 {
		err := h.setOption4(option, value)
		if err != nil && h.family == Dual && !ipv4OnDual {
			return h.setOptionMapped(option, value)
		}
		if err != nil {
			return unsupported(err)
		}
	}
	if h.family != IPv4 {
		if err := h.setOption6(option, value); err != nil {
			return unsupported(err)
		}
	}
	return nil
}

// isIPv6Only asks what package net chose, or the system: OpenBSD has no other sockets of IPv6 (ip6(4)).
func (h *handle) isIPv6Only() bool {
	only, err := h.getInt(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY)
	return err == nil && only != 0
}

// errNotIPv4 is the error of an option that a dual-stack socket has for IPv6 alone.
var errNotIPv4 = fmt.Errorf("for IPv4 on a dual-stack socket: %w", errors.ErrUnsupported)

// setOptionMapped sets an option of a dual-stack socket that the system refuses to set for IPv4. Its hop limit is
// that of both families: ip6_ctloutput of FreeBSD and macOS, IPV6_UNICAST_HOPS.
func (h *handle) setOptionMapped(option Option, value int) error {
	if err := h.setOption6(option, value); err != nil {
		return unsupported(err)
	}
	if option == TTL {
		return nil
	}
	return errNotIPv4
}

func (h *handle) setOption4(option Option, value int) error {
	c := ipv4.NewPacketConn(packetConn{rawConn: h.raw})
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
	default:
		return h.setSystemOption4(option, value)
	}
}

func (h *handle) setOption6(option Option, value int) error {
	c := ipv6.NewPacketConn(packetConn{rawConn: h.raw})
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
	default:
		return h.setSystemOption6(option, value)
	}
}

// Option reads an option. A dual-stack socket has the same value for both
// families, since both are set together.
func (h *handle) Option(option Option) (int, error) {
	switch option {
	case ReadBuffer, WriteBuffer, Broadcast:
		return h.systemOption(option)
	}
	switch h.family {
	case Other:
		return 0, errors.ErrUnsupported
	case IPv4:
		v, err := h.option4(option)
		return v, unsupported(err)
	case Dual:
		if option == PathMTU && h.isConnectedByIPv4() {
			v, err := h.option4(option)
			return v, unsupported(err)
		}
		fallthrough
	default:
		v, err := h.option6(option)
		return v, unsupported(err)
	}
}

func (h *handle) isConnectedByIPv4() bool {
	h.connection.RLock()
	defer h.connection.RUnlock()
	return h.sendsIPv4(netip.AddrPort{})
}

func (h *handle) option4(option Option) (int, error) {
	c := ipv4.NewPacketConn(packetConn{rawConn: h.raw})
	switch option {
	case TTL:
		return c.TTL()
	case TrafficClass:
		return c.TOS()
	case MulticastLoopback:
		return asInt(c.MulticastLoopback())
	case MulticastTTL:
		return c.MulticastTTL()
	default:
		return h.systemOption4(option)
	}
}

func (h *handle) option6(option Option) (int, error) {
	c := ipv6.NewPacketConn(packetConn{rawConn: h.raw})
	switch option {
	case TTL:
		return c.HopLimit()
	case TrafficClass:
		return c.TrafficClass()
	case MulticastLoopback:
		return asInt(c.MulticastLoopback())
	case MulticastTTL:
		return c.MulticastHopLimit()
	default:
		return h.systemOption6(option)
	}
}

func asInt(on bool, err error) (int, error) {
	if on {
		return 1, err
	}
	return 0, err
}

// interfaceByIndex is what golang.org/x/net wants where the index would do.
func interfaceByIndex(index int) *net.Interface {
	if index == 0 {
		return nil
	}
	return &net.Interface{Index: index}
}

// unsupported gives an error that is not the system's the meaning that it has:
// golang.org/x/net has unexported errors for what it does not do on a system,
// and ENOPROTOOPT is the system's word for an option that it does not know
// (setsockopt(2)).
func unsupported(err error) error {
	var errno syscall.Errno
	if err = closed(err); err == nil || err == net.ErrClosed || errors.As(err, &errno) && errno != syscall.ENOPROTOOPT || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
}
