package main

import (
	"fmt"
	"net/netip"
	"os"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/library"
	"example.com/datagram/bench/internal/load"
	"example.com/datagram/bench/internal/mark"
	"example.com/datagram/bench/internal/peer"
)

// childMain runs the bench binary as a measured process: "bench child role=… peer=…".
func childMain(list []string) error {
	a, err := child.Parse(list)
	if err != nil {
		return err
	}
	counts := child.NewCounts()
	ctl := &child.Control{In: os.Stdin, Out: os.Stdout, Counts: counts}
	if load.Has(a.Role) {
		return load.Run(&a, ctl)
	}
	p, ok := peer.Find(a.Peer)
	if !ok {
		return fmt.Errorf("no peer %q", a.Peer)
	}
	ready, err := open(p, &a, ctl)
	if err != nil {
		return err
	}
	return ctl.Run(ready)
}

// open starts the traffic of a role and sets up ctl to stop it.
func open(p peer.Peer, a *child.Args, ctl *child.Control) (mark.Ready, error) {
	if library.Has(a.Role) {
		h, err := library.Open(a, ctl.Counts, p.Conn)
		ctl.Stop = h.Close
		return mark.Ready{Addr: h.Addr.String()}, err
	}
	group := peer.NewGroup(child.Fatal)
	ctl.Stop = group.Close
	switch a.Role {
	case "recv":
		h, err := p.Receive(a, ctl.Counts.NewSink(a))
		if err == nil {
			group.Go(h)
		}
		return mark.Ready{Addr: h.Addr.String()}, err
	case "send":
		return openSend(p, a, ctl, group)
	case "ping":
		return openPing(p, a, ctl, group)
	case "flow":
		return openFlow(p, a, ctl)
	case "echo":
		h, err := p.Echo(a)
		if err == nil {
			group.Go(h)
		}
		return mark.Ready{Addr: h.Addr.String()}, err
	case "idle":
		return openIdle(p, a, ctl, group)
	}
	return mark.Ready{}, fmt.Errorf("no role %q", a.Role)
}

// openFlow starts receivers and one sender in this process.
func openFlow(p peer.Peer, a *child.Args, ctl *child.Control) (mark.Ready, error) {
	receivers, sender := peer.NewGroup(child.Fatal), peer.NewGroup(child.Fatal)
	var addrs []netip.AddrPort
	for range a.Receivers {
		h, err := p.Receive(a, ctl.Counts.NewSink(a))
		if err != nil {
			return mark.Ready{}, err
		}
		addrs = append(addrs, h.Addr)
		receivers.Go(h)
	}
	h, err := p.Send(a, ctl.Counts.NewSource(a, a.Destinations(addrs)))
	if err != nil {
		return mark.Ready{}, err
	}
	sender.Go(h)
	if a.Collect > 0 {
		go ctl.Counts.Collect()
	}
	ctl.Stop = func() {
		sender.Wait()
		ctl.Counts.Drain()
		if a.Receivers == 1 {
			receivers.Close() // publishes the rest of its counts; many receivers publish each at once
		}
		sender.Close()
	}
	return mark.Ready{}, nil
}

// openSend starts one sender to a receiver elsewhere.
func openSend(p peer.Peer, a *child.Args, ctl *child.Control, g *peer.Group) (mark.Ready, error) {
	dest, err := netip.ParseAddrPort(a.Dest)
	if err != nil {
		return mark.Ready{}, err
	}
	h, err := p.Send(a, ctl.Counts.NewSource(a, a.Destinations([]netip.AddrPort{dest})))
	if err != nil {
		return mark.Ready{}, err
	}
	g.Go(h)
	ctl.Stop = func() {
		g.Wait() // until its source ends, so that no send meets a closed socket
		g.Close()
	}
	return mark.Ready{}, nil
}

// openPing starts one pinger against an echo server elsewhere.
func openPing(p peer.Peer, a *child.Args, ctl *child.Control, g *peer.Group) (mark.Ready, error) {
	dest, err := netip.ParseAddrPort(a.Dest)
	if err != nil {
		return mark.Ready{}, err
	}
	pinger := peer.NewPinger(a, ctl.Counts)
	h, err := p.Ping(a, dest, pinger)
	if err != nil {
		return mark.Ready{}, err
	}
	g.Go(h)
	ctl.OnMark, ctl.Hist, ctl.Stop = pinger.Record, pinger.Hist, g.Wait
	return mark.Ready{}, nil
}

// openIdle opens receivers that nobody sends to, and reports their cost.
func openIdle(p peer.Peer, a *child.Args, ctl *child.Control, g *peer.Group) (mark.Ready, error) {
	open := p.Idle
	if open == nil {
		open = func(a *child.Args) (peer.Half, error) { return p.Receive(a, ctl.Counts.NewSink(a)) }
	}
	one := func() error {
		h, err := open(a)
		if err == nil {
			g.Go(h)
		}
		return err
	}
	if err := one(); err != nil { // do not count the one-time costs of the first
		return mark.Ready{}, err
	}
	child.Settle()
	base, kernel := child.RSS(), child.Slab()
	for range a.Count {
		if err := one(); err != nil {
			return mark.Ready{}, err
		}
	}
	child.Settle()
	ctl.Stop = func() {} // closing them is not measured
	return mark.Ready{RSS: child.RSS() - base, Slab: child.Slab() - kernel}, nil
}
