package pion

import (
	"fmt"
	"net"

	"github.com/pion/transport/v5"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

// NewHostNet returns a Net whose handles are on a host of a simulated network,
// for tests. It has the host's interface. TCP and the resolution of names are
// the system's.
func NewHostNet(host *datagramtest.Host, options ...datagram.Option) (transport.Net, error) {
	n, err := NewNet(append([]datagram.Option{host.Option()}, options...)...)
	if err != nil {
		return nil, err
	}
	return hostNet{n, host}, nil
}

type hostNet struct {
	*Net
	host *datagramtest.Host
}

func (n hostNet) Interfaces() ([]*transport.Interface, error) {
	ifi := transport.NewInterface(*n.host.Interface())
	for _, addr := range n.host.Addrs() {
		ifi.AddAddress(&net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addr.BitLen(), addr.BitLen())})
	}
	return []*transport.Interface{ifi}, nil
}

func (n hostNet) InterfaceByIndex(index int) (*transport.Interface, error) {
	return n.find(func(ifi *transport.Interface) bool { return ifi.Index == index }, index)
}

func (n hostNet) InterfaceByName(name string) (*transport.Interface, error) {
	return n.find(func(ifi *transport.Interface) bool { return ifi.Name == name }, name)
}

func (n hostNet) find(matches func(*transport.Interface) bool, what any) (*transport.Interface, error) {
	all, err := n.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, ifi := range all {
		if matches(ifi) {
			return ifi, nil
		}
	}
	return nil, fmt.Errorf("%w: %v", transport.ErrInterfaceNotFound, what)
}
