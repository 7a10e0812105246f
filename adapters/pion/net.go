// Package pion lets the WebRTC libraries of Pion use package datagram, on the
// system's network and on simulated ones:
//
//	n, err := pion.NewNet()
//	if err != nil {
//		return err
//	}
//	agent, err := ice.NewAgentWithOptions(ice.WithNet(n))
package pion

import (
	"context"
	"net"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"

	"example.com/datagram"
)

// A Net is a [transport.Net] whose UDP sockets are those of handles. Its
// connections are [datagram.UDPConn] values, which Pion's ICE agent and UDPMux
// read and write without allocating.
type Net struct {
	*stdnet.Net // TCP, names and interfaces
	options     []datagram.Option
}

var _ transport.Net = (*Net)(nil)

// NewNet returns a Net whose handles have the given options.
func NewNet(options ...datagram.Option) (*Net, error) {
	std, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return &Net{std, options}, nil
}

// ListenPacket implements [transport.Net].
func (n *Net) ListenPacket(network, address string) (net.PacketConn, error) {
	return n.CreateListenConfig(new(net.ListenConfig)).ListenPacket(context.Background(), network, address)
}

// ListenUDP implements [transport.Net].
func (n *Net) ListenUDP(network string, laddr *net.UDPAddr) (transport.UDPConn, error) {
	return udpConn(n.listen(context.Background(), network, hostPort(laddr), nil))
}

// Dial implements [transport.Net].
func (n *Net) Dial(network, address string) (net.Conn, error) {
	return n.CreateDialer(new(net.Dialer)).Dial(network, address)
}

// DialUDP implements [transport.Net].
func (n *Net) DialUDP(network string, laddr, raddr *net.UDPAddr) (transport.UDPConn, error) {
	return udpConn(n.dial(context.Background(), network, laddr, hostPort(raddr), nil))
}

// CreateDialer implements [transport.Net]. Of a UDP dialer's fields only
// LocalAddr, Timeout, Deadline and Control count.
func (n *Net) CreateDialer(d *net.Dialer) transport.Dialer { return dialer{n, d} }

// CreateListenConfig implements [transport.Net]. Of its fields only Control
// counts for UDP.
func (n *Net) CreateListenConfig(c *net.ListenConfig) transport.ListenConfig {
	return listenConfig{n, c}
}

type dialer struct {
	net    *Net
	dialer *net.Dialer
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	laddr, ok := d.dialer.LocalAddr.(*net.UDPAddr)
	if !isUDP(network) || !ok && d.dialer.LocalAddr != nil {
		return d.net.Net.CreateDialer(d.dialer).Dial(network, address)
	}
	ctx := context.Background()
	if d.dialer.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.dialer.Timeout)
		defer cancel()
	}
	if !d.dialer.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, d.dialer.Deadline)
		defer cancel()
	}
	return udpConn(d.net.dial(ctx, network, laddr, address, d.dialer.Control))
}

type listenConfig struct {
	net    *Net
	config *net.ListenConfig
}

func (c listenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return c.config.Listen(ctx, network, address)
}

func (c listenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	if !isUDP(network) {
		return c.config.ListenPacket(ctx, network, address)
	}
	return udpConn(c.net.listen(ctx, network, address, c.config.Control))
}
