package socket

import (
	"net/netip"
	"syscall"

	"example.com/datagram/internal/wire"
)

// parseControl reads the control messages of a received message.
func (k *kernelSocket) parseControl(b []byte, m *Incoming) {
	m.Parse(b, &k.zones)
	for _, fd := range m.Descriptors {
		_ = syscall.Close(descriptor(uintptr(fd))) // nobody asked for it
	}
	m.Descriptors = nil
	if m.Unverified {
		m.Elsewhere = !k.isSource(m.Control.Local)
	}
}

// Copies are those datagrams that each of several sockets receives if they are
// bound to one address. Of the others each goes to one socket.
type Copies int

// The values of Copies, from the fewest to all.
const (
	NoCopies        Copies = iota
	BroadcastCopies        // broadcasts
	ElsewhereCopies        // what was sent to another address than the host's own: broadcasts and multicasts
	AllCopies
)

// copies returns what other sockets receive too (__udp4_lib_mcast_deliver of
// Linux). Of a multicast there is but one copy where each socket hears only the
// groups that it joined, and only one has joined; since Linux 6.6 any of them may
// get that one (udp_v4_early_demux, inet_steal_sock).
func (k *kernelSocket) copies() Copies {
	k.connection.RLock()
	source := k.source
	k.connection.RUnlock()
	switch {
	case !source.IsValid() && k.hearsAllGroups():
		return ElsewhereCopies
	case !source.IsValid():
		return BroadcastCopies
	case source.IsMulticast() && !k.hearsAllGroups(), source.Is6() && wire.IsUnicast(source), source.Is4() && k.isSource(source):
		return NoCopies
	}
	return AllCopies
}

// hearsSeveralLinks reports whether datagrams to an IPv4 address may come from
// several links, so that the address does not tell where an answer belongs. Of
// IPv6 the zone tells.
func hearsSeveralLinks(address string) bool {
	local, _ := netip.ParseAddrPort(address)
	addr := local.Addr().Unmap()
	return addr.Is4() && (!wire.IsUnicast(addr) || addr.IsLinkLocalUnicast())
}
