package wire

import (
	"net/netip"
	"syscall"
)

// A NetworkError is what the network reported about a datagram sent earlier.
type NetworkError struct {
	Dst      netip.AddrPort // where the datagram was sent to
	Offender netip.Addr     // who reported
	MTU      int            // if the datagram was too big, else 0
	Errno    syscall.Errno
}
