package socket

import (
	"errors"
	"slices"
	"syscall"

	"example.com/datagram/internal/systems"
)

// Config says how to open a socket.
type Config struct {
	// Settings are applied before the socket is bound.
	Settings []Setting
	// Exclusive refuses a socket with ReusePort a port that others share, where
	// the system can. It never gets one if the system chooses the port.
	Exclusive bool
	// Interface is the name of a device to bind to, if any.
	Interface string
	// Control is called after Settings, before the socket is bound.
	Control func(network, address string, c syscall.RawConn) error
	// LocalAddresses turns ReceiveLocal on, where the system has it, for sockets
	// whose address does not tell where an answer belongs.
	LocalAddresses bool
	// Portable asks for the implementation that every system has.
	Portable bool
	// Shared says that others may read from the socket too: whether the kernel
	// coalesces stays as it is.
	Shared bool
	Limits
}

// Limits say how the open socket receives and sends.
type Limits struct {
	// Receive is the size of the largest datagram to receive whole.
	Receive int
	// Coalesce lets the kernel coalesce received datagrams, Segment lets it
	// segment sent ones, and Batch moves several in a system call.
	Coalesce, Segment, Batch bool
	// Insist segments also on kernels known to corrupt what they segment.
	Insist bool
	// NetworkErrors reports network errors.
	NetworkErrors bool
	// Reason says who set the limit where one of these is false.
	Reason string
}

// A Setting is an option and its value.
type Setting struct {
	Option Option
	Value  int
}

// A SettingError says which setting the system refused.
type SettingError struct {
	Option Option
	Name   string // if it is not an Option
	Err    error
}

func (e *SettingError) Error() string {
	name := e.Name
	if name == "" {
		name = e.Option.String()
	}
	return name + ": " + e.Err.Error()
}

func (e *SettingError) Unwrap() error { return e.Err }

// Features are what a socket does beyond moving one datagram at a time.
type Features struct {
	Batch, Segment, Coalesce            Feature
	Local, HopLimit, TrafficClass, Time Feature // metadata of received datagrams
	NetworkErrors, DontFragment         Feature

	// ReceiveMessages and SendMessages are the most messages that one system
	// call moves, Segments the most datagrams that one sent message holds.
	ReceiveMessages, SendMessages, Segments int
}

// A Feature says whether something is in use and, if not, why.
type Feature struct {
	Active bool
	Reason string
}

// Describe fills in the features that a program asks for. They are in use if it
// did: where the system refuses one the socket is not opened.
func (f *Features) Describe(config Config, supports func(Option) bool, networkErrors bool) {
	asked := func(option Option) Feature {
		on := slices.Contains(config.Settings, Setting{Option: option, Value: 1})
		return askedFor(on, supports(option))
	}
	f.Local, f.HopLimit = asked(ReceiveLocal), asked(ReceiveHopLimit)
	f.TrafficClass, f.Time = asked(ReceiveTrafficClass), asked(ReceiveTime)
	f.DontFragment = asked(DontFragment)
	f.NetworkErrors = askedFor(config.Limits.NetworkErrors, networkErrors)
}

func askedFor(asked, supported bool) Feature {
	switch {
	case asked:
		return Feature{Active: true}
	case !supported:
		return Feature{Reason: errors.ErrUnsupported.Error()}
	}
	return Feature{Reason: "not asked for"}
}

// offloaded returns the state of an offload that limits allow and err denies.
func offloaded(allowed bool, limits *Limits, err error) Feature {
	switch {
	case !allowed:
		return Feature{Reason: limits.Reason}
	case err != nil:
		return Feature{Reason: err.Error()}
	}
	return Feature{Active: true}
}

// noOffload notes that each system call moves one datagram.
func (k *kernelSocket) noOffload() {
	k.limits.Batch, k.limits.Segment, k.limits.Coalesce = false, false, false
	none := Feature{Reason: "the portable implementation has none"}
	k.features.Batch, k.features.Segment, k.features.Coalesce = none, none, none
}

// supports reports whether the system has an option for sockets like this one.
func (k *kernelSocket) supports(option Option) bool {
	on := options[option].on
	switch k.family {
	case IPv4:
		return on.IPv4.Here()
	case IPv6:
		return on.IPv6.Here()
	case Dual:
		return on.Dual.Here()
	}
	return option.isSocketLevel() && on.IPv4.Here()
}

// hasErrorQueue reports whether the socket can report network errors.
func (k *kernelSocket) hasErrorQueue(config Config) bool {
	return systems.NetworkErrors.IPv4.Here() && !isPortable(config) && k.family != Other
}
