// Package wire encodes and decodes what crosses the boundary to the kernel
// beside payloads: socket addresses, control messages and extended errors. It
// makes no system calls.
package wire

import (
	"net/netip"
	"time"
)

// A Family says what addresses a socket has.
type Family uint8

// The families. Dual is IPv6 that serves IPv4 too.
const (
	Other Family = iota
	IPv4
	IPv6
	Dual
)

// Zones translates between IPv6 zones and interface indexes. It may be nil
// where no address has a zone.
type Zones interface {
	Name(index uint32) string
	Index(zone string) (uint32, error)
}

// Control is what control messages ask for when sending and tell when
// receiving. The zero value of a field stands for the socket's default, or for
// unknown.
type Control struct {
	Local        netip.Addr
	IfIndex      int
	HopLimit     int
	TrafficClass uint8
	Time         time.Time
}

// Ancillary is what the control messages of a received message say.
type Ancillary struct {
	Control Control
	// SegmentSize is the size of each of the datagrams that the kernel
	// coalesced, of which the last may be shorter. It is 0 for a single one.
	SegmentSize int
	// Elsewhere says that Control.Local is a broadcast or multicast address, or
	// that the kernel answers from another one: it is none to send from.
	Elsewhere bool
	// Unverified says that Control.Local looks like an address to send from,
	// but the kernel did not say whether it is.
	Unverified bool
	// Descriptors are open files that came with the message. Whoever parses it
	// has to close them: nobody else knows of them (unix(7), SCM_RIGHTS).
	Descriptors []int
}

// broadcast is the limited broadcast address. Directed ones look like any
// other address.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// IsUnicast reports whether an address looks like one to send from.
func IsUnicast(addr netip.Addr) bool {
	return !addr.IsMulticast() && addr != broadcast && !addr.IsUnspecified()
}
