// Package peer contains the Go contenders, one per file. Each is written as its documentation or
// its best-known users do it, without allocations if its API allows that.
package peer

import (
	"net"
	"net/netip"
	"sync"

	"example.com/datagram/bench/internal/child"
)

// A Half is one end of the traffic. It is open already. Its Run, if any, runs on its own goroutine
// until the Half is closed or its source ends.
type Half struct {
	Addr  netip.AddrPort // receiving address
	Run   func() error   // returns no error caused by Close
	Close func()
}

// A Peer is one way of moving datagrams. Roles that it lacks are nil.
type Peer struct {
	Name   string
	Family string // peers of one family are variants, of which the best can be compared
	About  string // one line for the legend

	Receive func(a *child.Args, sink *child.Sink) (Half, error)
	Send    func(a *child.Args, src *child.Source) (Half, error)
	Echo    func(a *child.Args) (Half, error)
	Ping    func(a *child.Args, dest netip.AddrPort, p *Pinger) (Half, error)

	// Idle opens an idle socket, if Receive does not do so.
	Idle func(a *child.Args) (Half, error)

	// Conn opens a connection for libraries that take one: see package library.
	Conn func() (net.PacketConn, error)

	// PingOnly peers answer, but take part in no other workload than round trips.
	PingOnly bool

	// Shares reports whether Echo can have several sockets on one port: see child.Args.Handles.
	Shares bool

	// ManySockets reports whether one process can open thousands of receivers.
	ManySockets bool
}

// Peers returns the Go contenders in the order in which they run.
func Peers() []Peer {
	return append([]Peer{netPeer, netChannelPeer, xnetPeer, gnetPeer, wireguardPeer, bindPeer, packetConnPeer, udpConnPeer}, datagramPeers()...)
}

// Find returns the peer with that name.
func Find(name string) (Peer, bool) {
	for _, p := range Peers() {
		if p.Name == name {
			return p, true
		}
	}
	return Peer{}, false
}

// Group runs halves, each on its own goroutine.
type Group struct {
	halves []Half
	wg     sync.WaitGroup
	failed func(error)
}

// NewGroup returns an empty group. It passes the errors of Run to failed.
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

// Wait waits until all halves have ended by themselves, as senders do.
func (g *Group) Wait() { g.wg.Wait() }

// Close closes all halves and waits until they have ended.
func (g *Group) Close() {
	for _, h := range g.halves {
		h.Close()
	}
	g.wg.Wait()
}
