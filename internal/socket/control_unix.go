//go:build unix

package socket

import (
	"errors"

	"example.com/datagram/internal/systems"
	"example.com/datagram/internal/wire"
)

// appendControl appends the control messages that d asks for. connection must
// be held.
func (k *kernelSocket) appendControl(b []byte, d *Outgoing) ([]byte, error) {
	if k.family == Other {
		return nil, errors.ErrUnsupported
	}
	c, v4 := *d.Control, k.sendsIPv4(d.Addr)
	if v4 && systems.SendInterface.IPv4.Here() && c.IfIndex != 0 && !c.Local.IsValid() && k.isBoundToSource() {
		c.Local = k.source // packet information without a source would override it
	}
	return wire.AppendControl(b, &c, v4, &k.zones)
}

// isBoundToSource reports whether the socket is bound to an address to send
// from, and not to that of a group or a broadcast address. connection must be
// held.
func (k *kernelSocket) isBoundToSource() bool {
	if !k.source.IsValid() {
		return false
	}
	if !k.sends.Load() && k.isSource(k.source) {
		k.sends.Store(true)
	}
	return k.sends.Load()
}
