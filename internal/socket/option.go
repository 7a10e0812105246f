package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"example.com/datagram/internal/systems"
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
	Steering     // by the processor, modulo the number of sockets that share the port; 0 by the system's hash
	PathMTU      // of a connected socket, to read
	CopiesOption // what others bound to the same address receive copies of: see Copies, to read
	Options      // how many there are
)

// options are their names in error messages, and the systems that have them.
var options = [Options]struct {
	name string
	on   systems.Support
}{
	ReuseAddr:           {"address reuse", systems.Common},
	ReusePort:           {"port reuse", systems.ReusePort},
	IPv6Only:            {"IPv6 only", systems.Common},
	Broadcast:           {"broadcast", systems.Common},
	ReadBuffer:          {"read buffer", systems.Common},
	WriteBuffer:         {"write buffer", systems.Common},
	TTL:                 {"TTL", systems.Common},
	TrafficClass:        {"traffic class", systems.Common},
	MulticastLoopback:   {"multicast loopback", systems.Common},
	MulticastTTL:        {"multicast TTL", systems.Common},
	MulticastInterface:  {"multicast interface", systems.Common},
	ReceiveLocal:        {"local address metadata", systems.ReceiveLocal},
	ReceiveHopLimit:     {"hop limit metadata", systems.ReceiveHopLimit},
	ReceiveTrafficClass: {"traffic class metadata", systems.ReceiveTrafficClass},
	ReceiveTime:         {"time stamp metadata", systems.ReceiveTime},
	DontFragment:        {"don't fragment", systems.DontFragment},
	Steering:            {"steering", systems.Steering},
	PathMTU:             {"path MTU", systems.PathMTU},
	CopiesOption:        {"copies", systems.Common},
}

// String returns the option's name in an error message.
func (o Option) String() string { return options[o].name }

// isSocketLevel reports whether the option is one of SOL_SOCKET, which sockets
// of all families have.
func (o Option) isSocketLevel() bool {
	switch o {
	case ReuseAddr, ReusePort, Broadcast, ReadBuffer, WriteBuffer, ReceiveTime:
		return true
	}
	return false
}

// SetOption sets an option for each family that the socket serves.
func (k *kernelSocket) SetOption(option Option, value int) error {
	switch {
	case option.isSocketLevel():
		return k.setSocketOption(option, value)
	case option == Steering:
		return k.steer(value)
	case k.family == Other:
		return errors.ErrUnsupported
	case option == IPv6Only:
		return k.setIPv6Only(value)
	}
	if err := k.setInternetOption(option, value); err != nil {
		return err
	}
	if option == MulticastInterface {
		k.multicastInterface.Store(int32(value))
	}
	return nil
}

func (k *kernelSocket) setIPv6Only(value int) error {
	if k.family == IPv4 {
		return syscall.EINVAL
	}
	if err := k.setInt(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, value); err != nil {
		return err
	}
	k.family = Dual
	if value != 0 {
		k.family = IPv6
	}
	return nil
}

// setInternetOption sets an option that each family has its own of.
func (k *kernelSocket) setInternetOption(option Option, value int) error {
	if k.family != IPv6 {
		err := k.setOption4(option, value)
		if err != nil && k.family == Dual && !systems.OptionsOfIPv4.Here() {
			return k.setOptionMapped(option, value)
		}
		if err != nil || k.family == IPv4 {
			return unsupported(err)
		}
	}
	return unsupported(k.setOption6(option, value))
}

// isIPv6Only asks the system, since the choice is package net's, or the system's
// own: all IPv6 sockets of OpenBSD are for IPv6 only (ip6(4)).
func (k *kernelSocket) isIPv6Only() bool {
	only, err := k.getInt(syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY)
	return err == nil && only != 0
}

// errNotIPv4 says that a dual-stack socket has an option for IPv6 alone.
var errNotIPv4 = fmt.Errorf("for IPv4 on a dual-stack socket: %w", errors.ErrUnsupported)

// setOptionMapped sets an option on a dual-stack socket of a system that refuses
// it for IPv4. The hop limit is that of both families there (ip6_ctloutput of
// FreeBSD and macOS, IPV6_UNICAST_HOPS).
func (k *kernelSocket) setOptionMapped(option Option, value int) error {
	if err := k.setOption6(option, value); err != nil {
		return unsupported(err)
	}
	if option == TTL {
		return nil
	}
	return errNotIPv4
}

// Option returns the value of an option. On a dual-stack socket that is the same
// for both families, since SetOption sets both.
func (k *kernelSocket) Option(option Option) (value int, err error) {
	switch {
	case option == ReadBuffer, option == WriteBuffer, option == Broadcast, option == ReusePort:
		return k.socketOption(option)
	case k.family == Other:
		return 0, errors.ErrUnsupported
	case option == CopiesOption:
		return int(k.copies()), nil
	case option == MulticastInterface:
		value, err = k.multicastInterfaceIndex()
	case k.family == IPv4, option == PathMTU && k.isConnectedByIPv4():
		value, err = k.option4(option)
	default:
		value, err = k.option6(option)
	}
	return value, unsupported(err)
}

// multicastInterfaceIndex asks the system, since others may have set the
// interface. If the system does not tell, it returns what was set here.
func (k *kernelSocket) multicastInterfaceIndex() (index int, err error) {
	if k.family != IPv4 {
		index, err = k.getInt(syscall.IPPROTO_IPV6, syscall.IPV6_MULTICAST_IF)
	}
	if index == 0 && err == nil && k.family != IPv6 {
		index, err = k.multicastInterface4()
		if index == 0 && err == nil {
			index = int(k.multicastInterface.Load())
		}
	}
	return index, err
}

func (k *kernelSocket) isConnectedByIPv4() bool {
	k.connection.RLock()
	defer k.connection.RUnlock()
	return k.sendsIPv4(netip.AddrPort{})
}

// unsupported makes errors match errors.ErrUnsupported if that is what they mean:
// golang.org/x/net has unexported errors for what it does not do on a system,
// and a system has ENOPROTOOPT for an option that it does not know
// (setsockopt(2)).
func unsupported(err error) error {
	var errno syscall.Errno
	if err = closed(err); err == nil || err == net.ErrClosed || errors.As(err, &errno) && errno != syscall.ENOPROTOOPT || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
}
