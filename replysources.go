package datagram

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"example.com/datagram/internal/recent"
)

// replySources remembers to which addresses of this host recent peers have sent, and where link-local
// ones are, so that what is written to a peer leaves from there. It is bounded, since strangers choose
// the peers.
type replySources struct {
	any atomic.Bool // there are some

	mu    sync.Mutex
	peers recent.Map[netip.AddrPort, replySource]
}

// A replySource is what Reply takes from a received datagram.
type replySource struct {
	local   netip.Addr // invalid if the peer has sent to none that can be a source
	ifIndex int
}

// note remembers the address that d was sent to, if that is known and can be a source, and the
// interface of a link-local sender.
func (r *replySources) note(d *Datagram) {
	if !d.Meta.Local.IsValid() {
		return
	}
	meta := d.Reply(nil).Meta
	source := replySource{meta.Local, meta.IfIndex}
	if source == (replySource{}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !source.local.IsValid() {
		if known, _ := r.peers.Get(d.Addr); known.ifIndex == source.ifIndex {
			source = known
		}
	}
	r.peers.Set(d.Addr, source)
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
