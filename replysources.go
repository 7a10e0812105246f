package datagram

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"example.com/datagram/internal/recent"
)

// replySources remembers to which addresses of this host recent peers have sent, so that what is
// written to a peer leaves from there. It is bounded, since strangers choose the peers.
type replySources struct {
	any atomic.Bool // there are some

	mu    sync.Mutex
	peers recent.Map[netip.AddrPort, replySource]
}

// A replySource is what Reply takes from a received datagram.
type replySource struct {
	local   netip.Addr
	ifIndex int
}

// note remembers the address that d was sent to, if that is known and can be a source.
func (r *replySources) note(d *Datagram) {
	if !d.Meta.Local.IsValid() {
		return
	}
	meta := d.Reply(nil).Meta
	if !meta.Local.IsValid() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers.Set(d.Addr, replySource{meta.Local, meta.IfIndex})
	r.any.Store(true)
}

// choose makes d leave from the address to which its destination has sent last.
func (r *replySources) choose(d *Datagram) {
	if !r.any.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if source, ok := r.peers.Get(d.Addr); ok {
		d.Meta.Local, d.Meta.IfIndex = source.local, source.ifIndex
	}
}
