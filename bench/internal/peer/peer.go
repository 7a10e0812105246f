// Package peer holds the Go contenders: one file each, every one written the way its
// documentation or its best-known users do it, without allocations where its API allows that.
package peer

import (
	"net/netip"
	"sync"

	"example.com/datagram/bench/internal/child"
)

// A Half is one end of the traffic: opened already, then run on a goroutine of its own, if it has
// something to run, until it is closed or its source ends.
type Half struct {
	Addr  netip.AddrPort // where it receives
	Run   func() error   // an error that Close causes is not worth returning
	Close func()
}

// A Peer is one way of moving datagrams. Roles that it does not have are nil.
type Peer struct {
	Name  string
	About string // one line for the legend

	Receive func(a *child.Args, sink *child.Sink) (Half, error)
	Send    func(a *child.Args, src *child.Source) (Half, error)
	Echo    func(a *child.Args) (Half, error)
	Ping    func(a *child.Args, dest netip.AddrPort, p *Pinger) (Half, error)

	// Idle opens a socket that waits, where that is not what Receive does.
	Idle func(a *child.Args) (Half, error)

	// ManySockets says that thousands of receivers can be opened in one process.
	ManySockets bool
}

// Peers returns the Go contenders in the order in which they run.
func Peers() []Peer {
	return append([]Peer{netPeer, netChannelPeer, xnetPeer, gnetPeer, wireguardPeer}, datagramPeers()...)
}

// Find returns the peer of that name.
func Find(name string) (Peer, bool) {
	for _, p := range Peers() {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}

// Group runs halves, each on its goroutine.
type Group struct {
	halves []Half
	wg     sync.WaitGroup
	failed func(error)
}

// NewGroup returns an empty group; failed gets what a Run returns.
func NewGroup(failed func(error)) *Group { return &Group{failed: failed} }

// Go starts h.
func (g *Group) Go(h Half) {
	g.halves = append(g.halves, h)
	if h.Run == nil {
		return
	}
	g.wg.Go(func() {
		if err := h.Run(); err != nil {
			g.failed(err)
		}
	})
}

// Wait returns when all have ended by themselves, as senders do.
func (g *Group) Wait() { g.wg.Wait() }

// Close closes all and waits until they have ended.
func (g *Group) Close() {
	for _, h := range g.halves {
		h.Close()
	}
	g.wg.Wait()
}
