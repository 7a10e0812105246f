// Package child is the part of the bench that runs inside a measured process: its arguments, its
// counters, the gate that limits datagrams in flight, and the answers to its parent.
package child

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Args are the arguments of a child, on the command line as key=value. C programs take the same.
type Args struct {
	Peer string // which contender; C programs get mode= instead
	Role string // flow, recv, send, echo, ping, idle; or clients, senders for the neutral load
	Dest string // destination, for children that do not receive their own traffic
	Bind string // address that receivers bind

	Size      int // payload bytes
	Window    int // maximum number of datagrams in flight, 0 for no limit
	Dests     int // destination addresses in turn, all of one receiving port
	Receivers int // receiving sockets to send to in turn
	Handles   int // sockets of an echo server that share its port, 0 for one that shares with nobody
	Clients   int // sockets of the neutral load
	Flight    int // requests that all clients together keep in flight
	Pace      int // requests per second, when they are due at random times; 0 for one after each reply
	Count     int // idle sockets
	Collect   int // 1 to collect garbage all the time

	SendNS, RecvNS string // network namespaces of the two ends of a flow
}

// fields lists every argument, for Strings and Parse.
func (a *Args) fields() (texts map[string]*string, numbers map[string]*int) {
	texts = map[string]*string{
		"peer": &a.Peer, "role": &a.Role, "dest": &a.Dest, "bind": &a.Bind,
		"sendns": &a.SendNS, "recvns": &a.RecvNS,
	}
	numbers = map[string]*int{
		"size": &a.Size, "window": &a.Window, "dests": &a.Dests, "receivers": &a.Receivers, "handles": &a.Handles,
		"clients": &a.Clients, "flight": &a.Flight, "pace": &a.Pace, "count": &a.Count, "collect": &a.Collect,
	}
	return texts, numbers
}

// Strings returns the arguments that are set.
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

// Parse parses the result of Strings.
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

// Held returns how many datagrams a sender may number and keep to itself, to send those to one
// destination together. With more than half of the window it would wait for its own.
func (a *Args) Held() int {
	const most = 512
	if a.Window == 0 {
		return most
	}
	return min(most, a.Window/2)
}

// BindAddr returns the address that a receiver binds: the wildcard if one socket must receive for
// many addresses.
func (a *Args) BindAddr() netip.AddrPort {
	if a.Dests > 1 {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(a.Bind), 0)
}

// Destinations returns the destinations that a sender sends to in turn. Many destinations for one
// receiving socket are many addresses in 127.0.0.0/8 with its port, so that the receiving side
// stays the same.
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
