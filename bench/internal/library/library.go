// Package library is the traffic of libraries that take a net.PacketConn, over a peer's.
package library

import (
	"net"
	"net/netip"
	"os/exec"

	"example.com/datagram/bench/internal/child"
)

// Roles of this package. All but DNS, which only serves, send to themselves and count KiB.
const (
	QUIC = "quic"
	KCP  = "kcp"
	DNS  = "dns"
)

// Listen opens a connection on a port of the loopback interface.
type Listen func() (net.PacketConn, error)

// A Half is the running traffic, and the address of a server.
type Half struct {
	Addr  netip.AddrPort
	Close func() // waits until the traffic has ended
}

var roles = map[string]func(*child.Args, *child.Counts, Listen) (Half, error){QUIC: quicTraffic, KCP: kcpTraffic, DNS: dnsServer}

// Has reports whether a role belongs to this package.
func Has(role string) bool { return roles[role] != nil }

// Lacks returns what the machine lacks for a role, or "".
func Lacks(role string) string {
	if role != DNS {
		return ""
	}
	if _, err := exec.LookPath("dnsperf"); err != nil {
		return "no dnsperf (Debian: dnsperf)"
	}
	return ""
}

// Open starts the traffic of a role.
func Open(a *child.Args, counts *child.Counts, listen Listen) (Half, error) {
	return roles[a.Role](a, counts, listen)
}

// pair opens two connections.
func pair(listen Listen) (server, client net.PacketConn, err error) {
	if server, err = listen(); err != nil {
		return nil, nil, err
	}
	client, err = listen()
	return server, client, err
}

// A counter counts the KiB of one stream.
type counter struct {
	counts *child.Counts
	bytes  uint64
}

func (c *counter) Write(p []byte) (int, error) {
	before := c.bytes >> 10
	c.bytes += uint64(len(p))
	c.counts.AddReceived(c.bytes>>10 - before)
	return len(p), nil
}
