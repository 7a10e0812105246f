package socket

import (
	"net/netip"
	"syscall"
)

// A NetworkError is what the network reported about a datagram sent earlier.
type NetworkError struct {
	Dst      netip.AddrPort // where the datagram was sent to
	Offender netip.Addr     // who reported
	MTU      int            // of a datagram that was too big, else 0
	Errno    syscall.Errno
}

// NetworkErrors is what Receive returns instead of an errno when the socket was
// asked to report network errors.
type NetworkErrors []NetworkError

func (NetworkErrors) Error() string { return "network errors" }
