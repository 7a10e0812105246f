package datagram

import "net/netip"

// A strangerFilter drops what senders other than the peer sent before the handle was connected; the system
// drops only what they send later. The filter ends once the socket has been empty. It must not stay
// on: the sender that the system names need not be the peer that Connect named, for example where
// service addresses are translated (bpf(2), BPF_CGROUP_UDP4_RECVMSG).
type strangerFilter struct {
	connected bool // the handle is connected
	connects  int  // counts changes of connected
	active    bool // the next datagrams may predate Connect
	queued    bool // the socket may have held datagrams at Connect
	peer      netip.AddrPort
	ports     bool // addresses have meaningful ports
}

// begin is called before a receive, when everything received before is delivered. Its result is for
// received.
func (f *strangerFilter) begin() (connects int) {
	f.active = f.active && f.queued
	return f.connects
}

// received is called after a receive. waited reports that the socket was empty at first.
func (f *strangerFilter) received(connects int, waited bool) {
	if waited && connects == f.connects {
		f.active = false
	}
}

func (f *strangerFilter) excludes(d *Datagram) bool { return f.active && f.isStranger(d) }

// isStranger reports whether d is known to come from another sender than the peer. Zones are ignored,
// since interfaces may be renamed.
func (f *strangerFilter) isStranger(d *Datagram) bool {
	return d.Addr.IsValid() &&
		(f.ports && d.Addr.Port() != f.peer.Port() || d.Addr.Addr().WithZone("") != f.peer.Addr().WithZone(""))
}

// setPeer records that the handle was connected to peer or, for the zero AddrPort, disconnected. It
// drops what senders other than the peer have sent before.
func (r *receiver) setPeer(peer netip.AddrPort) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.withdraw()
	f := &r.strangers
	*f = strangerFilter{connected: peer.IsValid(), active: peer.IsValid(), connects: f.connects + 1, peer: peer}
	r.refused.Store(false)
	if !f.connected {
		return
	}
	f.ports, f.queued = r.udp, r.sock.Readable()
	if !r.filling {
		r.setAside()
	}
	var d Datagram
	for n := r.pending.Len(); n > 0 && r.pending.PopFront(&d); n-- {
		if r.admit(&d) {
			r.pending.PushBack(d)
		}
	}
	if r.state == receiving {
		r.sortChannel()
	}
	// A receive in progress may bring datagrams from before Connect. End it, and leave later ones
	// to the next.
	r.interrupt()
	for fills := r.fills; r.filling && r.fills == fills; {
		r.changed.Wait()
	}
}
