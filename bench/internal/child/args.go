// Package child is the part of the bench that runs inside a measured process: its orders,
// its counters, the gate that bounds what is in flight, and the answers to its parent.
package child

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Args are the orders of a child, on the command line as key=value. C programs read the same.
type Args struct {
	Peer string // which contender; C programs get mode= instead
	Role string // flow, recv, send, echo, ping, idle; or clients, senders for the neutral load
	Dest string // where to send to, for children that do not receive their own traffic
	Bind string // address that receivers bind

	Size      int // payload bytes
	Window    int // most datagrams in flight, 0 for no bound
	Dests     int // addresses that the sender sends to in turn, all of one receiving port
	Receivers int // receiving sockets that the sender sends to in turn
	Clients   int // sockets of the neutral load
	Depth     int // requests that each client keeps in flight
	Count     int // idle sockets

	SendNS, RecvNS string // network namespaces of the two ends of a flow
}

// fields names every argument once, for both directions.
func (a *Args) fields() (texts map[string]*string, numbers map[string]*int) {
	texts = map[string]*string{
		"peer": &a.Peer, "role": &a.Role, "dest": &a.Dest, "bind": &a.Bind,
		"sendns": &a.SendNS, "recvns": &a.RecvNS,
	}
	numbers = map[string]*int{
		"size": &a.Size, "window": &a.Window, "dests": &a.Dests, "receivers": &a.Receivers,
		"clients": &a.Clients, "depth": &a.Depth, "count": &a.Count,
	}
	return texts, numbers
}

// Strings renders the arguments that are set.
func (a Args) Strings() []string {
	var out []string
	texts, numbers := a.fields()
	for k, v := range texts {
		if *v != "" {
			out = append(out, k+"="+*v)
		}
	}
	for k, v := range numbers {
		if *v != 0 {
			out = append(out, k+"="+strconv.Itoa(*v))
		}
	}
	return out
}

// Parse reads what Strings rendered.
func Parse(list []string) (Args, error) {
	a := Args{Bind: "127.0.0.1", Dests: 1, Receivers: 1}
	texts, numbers := a.fields()
	for _, s := range list {
		k, v, _ := strings.Cut(s, "=")
		if p, ok := texts[k]; ok {
			*p = v
		} else if p, ok := numbers[k]; ok {
			n, err := strconv.Atoi(v)
			if err != nil {
				return a, fmt.Errorf("argument %s: %w", k, err)
			}
			*p = n
		} else {
			return a, fmt.Errorf("unknown argument %q", s)
		}
	}
	return a, nil
}

// BindAddr is the address that a receiver binds: the wildcard where one socket must answer to
// many addresses.
func (a *Args) BindAddr() netip.AddrPort {
	if a.Dests > 1 {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(a.Bind), 0)
}

// Destinations lists what a sender sends to in turn. Many destinations for one receiving socket
// are many addresses of 127.0.0.0/8 with its port, so that the receiving side stays the same.
func (a *Args) Destinations(receivers []netip.AddrPort) []netip.AddrPort {
	if a.Dests <= 1 {
		return receivers
	}
	list := make([]netip.AddrPort, a.Dests)
	for i := range list {
		addr := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
		list[i] = netip.AddrPortFrom(addr, receivers[0].Port())
	}
	return list
}
