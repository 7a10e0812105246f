package main

import (
	"fmt"
	"net/netip"
	"os"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/load"
	"example.com/datagram/bench/internal/mark"
	"example.com/datagram/bench/internal/peer"
)

// childMain is the bench binary as a measured process: "bench child role=… peer=…".
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

// open starts the traffic of a role and tells ctl how to stop it.
func open(p peer.Peer, a *child.Args, ctl *child.Control) (mark.Ready, error) {
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
	ctl.Stop = func() {
		sender.Wait()
		ctl.Counts.Drain()
		if a.Receivers == 1 {
			receivers.Close() // it publishes its rest; where there are many, each has done so at once
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
		g.Wait() // its source has ended: not one send meets a closed socket
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

// openIdle opens receivers that nobody sends to, and reports what they cost.
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
	if err := one(); err != nil { // what the first brings along once is not counted
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
	ctl.Stop = func() {} // they have waited; closing them is not what is measured
	return mark.Ready{RSS: child.RSS() - base, Slab: child.Slab() - kernel}, nil
}
