package datagramtest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"

	"example.com/datagram"
)

// A Host is a machine on a [Network], with its own addresses and ports. Every
// host also has the loopback addresses, through which it reaches itself. A host
// assigns ports in sequence, starting with 32768.
type Host struct {
	network *Network
	addrs   []netip.Addr
	ports   map[uint16][]*endpoint // in the order of binding
	next    uint16                 // port to assign next
}

// The ports that a host assigns, as on Linux (net.ipv4.ip_local_port_range).
const firstPort, lastPort = 32768, 60999

// The interfaces of every host.
const (
	loopbackIndex = 1
	networkIndex  = 2
	loopbackName  = "lo"
	networkName   = "eth0"
)

// defaultAddrs are addresses for documentation (RFC 5737, RFC 3849).
var defaultAddrs = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}

// Host returns the host of handles whose address names no other. Its addresses
// are 192.0.2.1 and 2001:db8::1.
func (n *Network) Host() *Host { return n.home }

// AddHost adds a host with the given addresses. It sends from its first address
// of the destination's family, preferring a link-local one for link-local
// destinations and others for all other destinations. Sends to a family of
// which it has no address fail with ENETUNREACH.
//
// AddHost returns EADDRINUSE if another host has one of the addresses. It
// returns EINVAL if there is no address, if one is given twice, or if one is
// not unicast or is a loopback address.
func (n *Network) AddHost(addrs ...netip.Addr) (*Host, error) {
	n.lock()
	defer n.mu.Unlock()
	if len(addrs) == 0 {
		return nil, fmt.Errorf("datagramtest: host without address: %w", syscall.EINVAL)
	}
	addrs = slices.Clone(addrs)
	for i, addr := range addrs {
		addrs[i] = plain(addr)
		if addr = addrs[i]; !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr == broadcast ||
			slices.Contains(addrs[:i], addr) {
			return nil, fmt.Errorf("datagramtest: host with address %v: %w", addr, syscall.EINVAL)
		}
		if n.owners[addr] != nil {
			return nil, fmt.Errorf("datagramtest: host with address %v: %w", addr, syscall.EADDRINUSE)
		}
	}
	return n.addHost(addrs...), nil
}

// addHost adds a host. mu must be held.
func (n *Network) addHost(addrs ...netip.Addr) *Host {
	h := &Host{network: n, addrs: addrs, ports: make(map[uint16][]*endpoint), next: firstPort}
	n.hosts = append(n.hosts, h)
	for _, addr := range addrs {
		n.owners[addr] = h
	}
	return h
}

// hostOf returns the host for an endpoint with an address. mu must be held.
func (n *Network) hostOf(addr netip.Addr) *Host {
	if addr.IsUnspecified() || addr.IsLoopback() || addr == broadcast {
		return n.home
	}
	if h := n.owners[addr]; h != nil {
		return h
	}
	return n.addHost(addr)
}

// Addrs returns the addresses of the host.
func (h *Host) Addrs() []netip.Addr { return slices.Clone(h.addrs) }

// Interface returns the host's interface to the network, as for [datagram.Conn.JoinGroup].
// It is the same for all hosts.
func (h *Host) Interface() *net.Interface { return networkInterface() }

func networkInterface() *net.Interface {
	const up = net.FlagUp | net.FlagBroadcast | net.FlagMulticast | net.FlagRunning
	return &net.Interface{Index: networkIndex, MTU: unlimitedMTU, Name: networkName, Flags: up}
}

// Interface describes an interface of the endpoint's host.
func (e *endpoint) Interface(index int) (*net.Interface, error) { return interfaceByIndex(index) }

// Interface describes an interface of the host that a new endpoint will be on.
func (o opener) Interface(index int) (*net.Interface, error) { return interfaceByIndex(index) }

// interfaceByIndex describes an interface of any host.
func interfaceByIndex(index int) (*net.Interface, error) {
	switch index {
	case loopbackIndex:
		const up = net.FlagUp | net.FlagLoopback | net.FlagRunning
		return &net.Interface{Index: loopbackIndex, MTU: unlimitedMTU, Name: loopbackName, Flags: up}, nil
	case networkIndex:
		return networkInterface(), nil
	}
	return nil, syscall.ENODEV
}

// interfaceIndex returns the index of the interface that a zone names, by name
// or in decimal, or -1.
func interfaceIndex(zone string) int {
	switch zone {
	case loopbackName:
		return loopbackIndex
	case networkName:
		return networkIndex
	}
	if index, err := strconv.Atoi(zone); err == nil && index > 0 {
		return index
	}
	return -1
}

// Listen is [datagram.Listen] on the host. It returns EADDRNOTAVAIL if the host
// does not have the address.
func (h *Host) Listen(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	return datagram.Listen(ctx, network, address, prepend(h.Option(), opts)...)
}

// Dial is [datagram.Dial] on the host.
func (h *Host) Dial(ctx context.Context, network, address string, opts ...datagram.Option) (*datagram.Conn, error) {
	return datagram.Dial(ctx, network, address, prepend(h.Option(), opts)...)
}

// Option returns an option that puts a handle on the host. See [Network.Option].
func (h *Host) Option() datagram.Option { return onNetwork(opener{h.network, h}) }

// has reports whether the host has an address, including the loopback
// addresses.
func (h *Host) has(addr netip.Addr) bool { return addr.IsLoopback() || slices.Contains(h.addrs, addr) }

// endpoints returns all endpoints of the host, in any order.
func (h *Host) endpoints() iter.Seq[*endpoint] {
	return func(yield func(*endpoint) bool) {
		for bound := range maps.Values(h.ports) {
			for _, e := range bound {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// bind binds an endpoint to its local address. The network's mu must be held.
func (h *Host) bind(e *endpoint) error {
	addr, port := e.local.Addr(), e.local.Port()
	if !addr.IsUnspecified() && !h.has(addr) {
		return os.NewSyscallError("bind", syscall.EADDRNOTAVAIL)
	}
	if port == 0 {
		port = h.freePort()
	} else if slices.ContainsFunc(h.ports[port], e.conflicts) {
		port = 0
	}
	if port == 0 {
		return os.NewSyscallError("bind", syscall.EADDRINUSE)
	}
	e.host, e.local = h, netip.AddrPortFrom(addr, port)
	h.ports[port] = append(h.ports[port], e)
	return nil
}

// freePort returns a port without endpoints, or 0.
func (h *Host) freePort() uint16 {
	for range lastPort - firstPort + 1 {
		port := h.next
		if h.next++; h.next > lastPort {
			h.next = firstPort
		}
		if len(h.ports[port]) == 0 {
			return port
		}
	}
	return 0
}

func (h *Host) unbind(e *endpoint) {
	port := e.local.Port()
	h.ports[port] = slices.DeleteFunc(h.ports[port], func(other *endpoint) bool { return other == e })
	if len(h.ports[port]) == 0 {
		delete(h.ports, port)
	}
}

// receiver returns the endpoint that a packet is for, or nil: the one that is
// bound most specifically. Of several equal ones, the last one bound has taken
// over the port, unless they share it; then each gets some of the flows.
func (h *Host) receiver(p *packet) *endpoint {
	var best []*endpoint
	score := 0
	for _, e := range h.ports[p.to.Port()] {
		switch s := e.score(p); {
		case s == 0 || s < score:
		case s > score:
			best, score = []*endpoint{e}, s
		default:
			best = append(best, e)
		}
	}
	if len(best) == 0 {
		return nil
	}
	if best[0].reusesPort() {
		return best[h.network.path(p.flow).seed%uint64(len(best))]
	}
	return best[len(best)-1]
}
