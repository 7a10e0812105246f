//go:build unix

package socket

import (
	"errors"

	"example.com/datagram/internal/systems"
	"example.com/datagram/internal/wire"
)

// wantsControl reports whether control messages go with d. Those to a group
// wider than the link carry its zone, since the kernel heeds that of the
// address only for narrower ones (__ipv6_addr_needs_scope_id).
func (d *Outgoing) wantsControl() bool { return d.Control != nil || d.toZonedGroup() }

func (d *Outgoing) toZonedGroup() bool {
	a := d.Addr.Addr()
	return a.Zone() != "" && a.IsMulticast() && !a.IsLinkLocalMulticast() && !a.IsInterfaceLocalMulticast()
}

// appendControl appends the control messages that d wants. connection must be
// held.
func (k *kernelSocket) appendControl(b []byte, d *Outgoing) ([]byte, error) {
	if k.family == Other {
		return nil, errors.ErrUnsupported
	}
	var c Control
	if d.Control != nil {
		c = *d.Control
	}
	v4 := k.sendsIPv4(d.Addr)
	if c.IfIndex == 0 && c.Local.Zone() == "" && d.toZonedGroup() {
		index, err := k.zones.Index(d.Addr.Addr().Zone())
		if err != nil {
			return nil, err
		}
		c.IfIndex = int(index)
	}
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
