package datagramtest

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/hook"
	"example.com/datagram/internal/socket"
)

// A Network is a simulated network: hosts and the links between them.
//
// Multiple goroutines may call its methods simultaneously. A Network used
// inside a bubble of [testing/synctest] must be created in that bubble.
type Network struct {
	start time.Time
	seed  uint64

	mu     sync.Mutex // also guards the endpoints
	closed bool
	home   *Host
	hosts  []*Host // in order of creation
	owners map[netip.Addr]*Host
	keep   func(from, to netip.AddrPort, payload []byte) bool // nil keeps all
	usual  *Link
	rules  []rule
	cuts   []*cut
	paths  map[flow]*path
	ledger ledger
	log    log

	events  eventQueue
	planned uint64 // total number of events
	timer   *time.Timer
	armed   time.Duration // when the timer fires, 0 if it is not set
}

// NewNetwork returns a network without traffic. All paths have the given link,
// unless [Network.SetLink] changes that; the zero Link is perfect. NewNetwork
// panics if a field of link is out of range.
//
// Everything random depends on seed. Whether a datagram is lost, duplicated,
// reordered or corrupted, and its jitter, follow from the seed, the addresses
// and ports it travels between, and its ordinal on that path, but not from the
// order in which goroutines run.
func NewNetwork(seed uint64, link Link) *Network {
	link.check()
	n := &Network{
		start:  time.Now(),
		seed:   seed,
		owners: make(map[netip.Addr]*Host),
		usual:  &link,
		paths:  make(map[flow]*path),
	}
	n.home = n.addHost(defaultAddrs...)
	return n
}

// Listen is [datagram.Listen] on the network. An address that no host has yet
// creates a new host. Wildcard, loopback and multicast addresses belong to
// [Network.Host]. The only host name is localhost.
func (n *Network) Listen(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	return datagram.Listen(ctx, network, address, prepend(n.Option(), opts)...)
}

// Dial is [datagram.Dial] on the network, from [Network.Host]. The only host
// name is localhost.
func (n *Network) Dial(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	return datagram.Dial(ctx, network, address, prepend(n.Option(), opts)...)
}

// Option returns an option for [datagram.New], [datagram.Listen] and
// [datagram.Dial] that puts the handle on the network, by the rules of
// [Network.Listen]. With it, [datagram.Open], which needs a descriptor, fails
// with [errors.ErrUnsupported].
func (n *Network) Option() datagram.Option { return onNetwork(opener{network: n}) }

// Close stops all traffic. Datagrams in transit are lost, and the sockets of
// all handles on the network are closed: receiving ends, and system calls fail
// with [net.ErrClosed], also those for what is queued. The handles must still be
// closed. A second Close returns net.ErrClosed.
func (n *Network) Close() error {
	n.lock()
	defer n.mu.Unlock()
	if n.closed {
		return net.ErrClosed
	}
	n.closed = true
	if n.timer != nil {
		n.timer.Stop()
	}
	n.loseAll()
	for _, h := range n.hosts {
		for e := range h.endpoints() {
			e.changed.Broadcast()
		}
	}
	return nil
}

// now returns the time on the network's clock.
func (n *Network) now() time.Duration {
	now := time.Since(n.start)
	if now < 0 { // in a bubble it is the year 2000
		panic("datagramtest: a Network that was made outside a bubble of testing/synctest is used inside")
	}
	return now
}

// onNetwork returns an option that creates sockets on a network.
func onNetwork(network socket.Network) datagram.Option {
	return hook.WithNetwork(network).(datagram.Option)
}

// prepend inserts an option before others, which may build on it.
func prepend(opt datagram.Option, opts []datagram.Option) []datagram.Option {
	return append([]datagram.Option{opt}, opts...)
}
