//go:build !linux

package socket

import (
	"net/netip"

	"example.com/datagram/internal/wire"
)

// isSource goes by the looks of an IPv4 address.
func (k *kernelSocket) isSource(addr netip.Addr) bool { return wire.IsUnicast(addr) }
