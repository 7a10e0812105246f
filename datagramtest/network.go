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

// A Network is a simulated network with hosts and the links between them.
//
// Its methods may be called from many goroutines at once. Inside a bubble of
// [testing/synctest] a Network must be made in the bubble that uses it.
type Network struct {
	start time.Time
	seed  uint64

	mu     sync.Mutex // also guards the endpoints
	closed bool
	home   *Host
	hosts  []*Host // in the order in which they were made
	owners map[netip.Addr]*Host
	keep   func(from, to netip.AddrPort, payload []byte) bool // nil keeps all
	usual  *Link
	rules  []rule
	cuts   []*cut
	paths  map[flow]*path
	ledger ledger
	log    log

	events  eventQueue
	planned uint64 // events ever
	timer   *time.Timer
	armed   time.Duration // what the timer is set to, 0 if to nothing
}

// NewNetwork returns a network without traffic. Every path has the given link,
// unless [Network.SetLink] says otherwise; the zero Link is perfect. It panics
// if a field of link is out of range.
//
// All that is left to chance depends on seed. Whether a datagram is lost,
// duplicated, reordered or corrupted, and its jitter, follow from the seed, the
// addresses and ports it travels between, and its ordinal on that path, not
// from which goroutine came first.
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
// becomes that of a new host. The wildcard, loopback and multicast addresses
// are those of [Network.Host]. There are no names but localhost.
func (n *Network) Listen(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	return datagram.Listen(ctx, network, address, prepend(n.Option(), opts)...)
}

// Dial is [datagram.Dial] on the network, from [Network.Host]. There are no names but localhost.
func (n *Network) Dial(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	return datagram.Dial(ctx, network, address, prepend(n.Option(), opts)...)
}

// Option returns an option for [datagram.New], [datagram.Listen] and
// [datagram.Dial] that puts the handle on the network, with the rules of
// [Network.Listen]. [datagram.Open], which has a descriptor, is
// [errors.ErrUnsupported] with it.
func (n *Network) Option() datagram.Option { return onNetwork(opener{network: n}) }

// Close ends all traffic. What is under way is lost, and every handle on the
// network finds its socket closed: reading ends and calls return
// [net.ErrClosed]. The handles remain to be closed. Closing again is
// net.ErrClosed.
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

// now is the time on the network's clock.
func (n *Network) now() time.Duration {
	now := time.Since(n.start)
	if now < 0 { // in a bubble it is the year 2000
		panic("datagramtest: a Network that was made outside a bubble of testing/synctest is used inside")
	}
	return now
}

// onNetwork returns an option that opens sockets on a network.
func onNetwork(network socket.Network) datagram.Option {
	return hook.WithNetwork(network).(datagram.Option)
}

// prepend puts an option before others, which may build on it.
func prepend(opt datagram.Option, opts []datagram.Option) []datagram.Option {
	return append([]datagram.Option{opt}, opts...)
}
