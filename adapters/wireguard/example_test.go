// wireguard-go has no device for NetBSD.
//go:build !netbsd

package wireguard_test

import (
	"bytes"
	"crypto/ecdh"
	"fmt"
	"log"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"example.com/datagram/adapters/wireguard"
	"example.com/datagram/datagramtest"
)

// A ping goes through a tunnel over a simulated network. On a real network, NewBind needs no option.
func Example() {
	network := datagramtest.NewNetwork(1, datagramtest.Link{Delay: time.Millisecond})
	defer network.Close()

	here := newSite(network, "10.1.0.1", 1)
	defer here.dev.Close()
	there := newSite(network, "10.1.0.2", 2)
	defer there.dev.Close()
	here.connect(there)
	there.connect(here)

	ping := tuntest.Ping(there.inner, here.inner) // to there
	here.tun.Outbound <- ping
	fmt.Println("arrived unchanged:", bytes.Equal(<-there.tun.Inbound, ping))
	// Output: arrived unchanged: true
}

// A site is one end of the tunnel.
type site struct {
	dev          *device.Device
	tun          *tuntest.ChannelTUN
	key          *ecdh.PrivateKey
	outer, inner netip.Addr
}

const port = 51820

func newSite(network *datagramtest.Network, outer string, number byte) *site {
	s := &site{tun: tuntest.NewChannelTUN(), outer: netip.MustParseAddr(outer), inner: netip.AddrFrom4([4]byte{10, 0, 0, number})}
	var err error
	if s.key, err = ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{number}, 32)); err != nil {
		log.Fatal(err)
	}
	host, err := network.AddHost(s.outer)
	if err != nil {
		log.Fatal(err)
	}
	s.dev = device.NewDevice(s.tun.TUN(), wireguard.NewBind(host.Option()), device.NewLogger(device.LogLevelError, ""))
	s.set("private_key=%x\nlisten_port=%d\n", s.key.Bytes(), port)
	if err := s.dev.Up(); err != nil {
		log.Fatal(err)
	}
	return s
}

// connect makes another site a peer.
func (s *site) connect(peer *site) {
	s.set("public_key=%x\nendpoint=%v:%d\nallowed_ip=%v/32\n", peer.key.PublicKey().Bytes(), peer.outer, port, peer.inner)
}

func (s *site) set(format string, args ...any) {
	if err := s.dev.IpcSet(fmt.Sprintf(format, args...)); err != nil {
		log.Fatal(err)
	}
}
