package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/netlab"
	"example.com/datagram/bench/internal/report"
)

// measureAll runs every workload and prints its table as soon as it has one.
func measureAll(ctx context.Context, o options, out io.Writer) (*report.Run, error) {
	dir, err := os.MkdirTemp("", "datagram-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	all, err := contenders(dir)
	if err != nil {
		return nil, err
	}
	buffer, err := child.Granted()
	if err != nil {
		return nil, err
	}
	r := &report.Run{
		Machine: machine(filepath.Join(dir, "libuv_echo")),
		Started: time.Now(),
		Settings: report.Settings{
			Rounds: o.rounds, Duration: o.duration, Buffer: buffer, Load: loadAverage(),
		},
	}
	r.Header(out)
	var chosen []contender
	for _, c := range all {
		if c.name != report.Baseline && !o.peers.MatchString(c.name) {
			continue
		}
		fmt.Fprintf(out, "%-18s  %s\n", c.name, c.about)
		if c.absent != "" {
			fmt.Fprintf(out, "%-18s  not run: %s\n", "", c.absent)
		}
		chosen = append(chosen, c)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &meter{
		duration: o.duration,
		load:     func(a child.Args) []string { return append([]string{self, "child"}, a.Strings()...) },
	}
	for _, w := range workloads(buffer, o.quick) {
		if !o.run.MatchString(w.name) {
			continue
		}
		result := m.run(ctx, w, chosen, o.rounds)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Workloads = append(r.Workloads, result)
		r.Summarize()
		r.Workloads[len(r.Workloads)-1].Table(out)
	}
	return r, nil
}

// run measures one workload: in every round all contenders one after the other, so that whatever
// changes on the machine changes for all of them.
func (m *meter) run(ctx context.Context, w workload, list []contender, rounds int) report.Workload {
	result := report.Workload{Name: w.name, Title: w.title, Metrics: w.metrics, Series: w.series, N: w.n}
	var lab *netlab.Lab
	var noLab error
	if w.veth {
		if lab, noLab = netlab.New(); noLab == nil {
			defer lab.Close()
			w.args.SendNS, w.args.RecvNS = lab.SendNS, lab.RecvNS
		}
	}
	list = slices.DeleteFunc(slices.Clone(list), func(c contender) bool {
		return w.only != nil && !slices.Contains(w.only, c.name)
	})
	for _, c := range list {
		p := report.Peer{Name: c.name, Family: c.family, About: c.about}
		switch {
		case c.absent != "":
			p.Skipped = c.absent
		case noLab != nil:
			p.Skipped = noLab.Error()
		default:
			p.Skipped = c.lacks(w.args)
		}
		result.Peers = append(result.Peers, p)
	}
	for round := range rounds {
		for i, c := range list {
			p := &result.Peers[i]
			if p.Skipped != "" || ctx.Err() != nil {
				continue
			}
			f, err := m.once(ctx, w, c, lab)
			if err != nil {
				p.Failed = fmt.Sprintf("round %d failed: %v", round+1, err)
			}
			p.Rounds = append(p.Rounds, f) // none for a failed one, but its place: pairs must match
		}
	}
	return result
}

// once measures one contender once, and on the veth pair also counts what was on the wire.
func (m *meter) once(ctx context.Context, w workload, c contender, lab *netlab.Lab) (report.Figures, error) {
	if lab == nil {
		return w.measure(m, ctx, c, w.args)
	}
	before, err := lab.Received()
	if err != nil {
		return nil, err
	}
	f, err := w.measure(m, ctx, c, w.args)
	if err != nil {
		return nil, err
	}
	after, err := lab.Received()
	if err != nil {
		return nil, err
	}
	f[report.Wire] = float64(after-before) / f[report.Total]
	if f[report.Wire] < 0.99 {
		return nil, fmt.Errorf("%.2f packets on the wire for each datagram: the device did not see them one by one", f[report.Wire])
	}
	return f, nil
}
