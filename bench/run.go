package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"example.com/datagram/bench/internal/calls"
	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/netlab"
	"example.com/datagram/bench/internal/report"
)

// A bench is everything that is needed to measure workloads.
type bench struct {
	meter
	rounds    int
	quick     bool // counts system calls in its only round
	list      []contender
	workloads []workload
	report    *report.Run
}

// newBench prepares what options ask for. It compiles the contenders in C into dir.
func newBench(o options, dir string) (*bench, error) {
	all, err := contenders(dir)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	buffer, err := child.Granted()
	if err != nil {
		return nil, err
	}
	b := &bench{
		meter: meter{
			duration: o.duration,
			load:     func(a child.Args) []string { return append([]string{self, "child"}, a.Strings()...) },
		},
		rounds: o.rounds,
		quick:  o.quick,
		report: &report.Run{
			Machine: machine(filepath.Join(dir, "libuv_echo")),
			Started: time.Now(),
			Settings: report.Settings{
				Rounds: o.rounds, Duration: o.duration, Buffer: buffer, Load: loadAverage(),
			},
		},
	}
	b.list = slices.DeleteFunc(all, func(c contender) bool {
		return c.name != report.Baseline && !o.peers.MatchString(c.name)
	})
	b.workloads = slices.DeleteFunc(workloads(buffer, o.quick), func(w workload) bool {
		return !o.run.MatchString(w.name)
	})
	if err := calls.Available(); err != nil {
		b.report.Settings.Uncounted = err.Error()
	}
	return b, nil
}

// header prints the machine, the settings and the contenders.
func (b *bench) header(out io.Writer) {
	b.report.Header(out)
	for _, c := range b.list {
		fmt.Fprintf(out, "%-18s  %s\n", c.name, c.about)
		if c.absent != "" {
			fmt.Fprintf(out, "%-18s  not run: %s\n", "", c.absent)
		}
	}
}

// measureAll runs every workload and prints each table as soon as it is complete.
func measureAll(ctx context.Context, o options, out io.Writer) (*report.Run, error) {
	dir, err := os.MkdirTemp("", "datagram-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(o, dir)
	if err != nil {
		return nil, err
	}
	b.header(out)
	r := b.report
	for _, w := range b.workloads {
		result := b.measure(ctx, w)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r.Workloads = append(r.Workloads, result)
		r.Summarize()
		r.Workloads[len(r.Workloads)-1].Table(out)
	}
	return r, nil
}

// measure measures one workload.
func (b *bench) measure(ctx context.Context, w workload) report.Workload {
	result := report.Workload{
		Name: w.name, Title: w.title, Metrics: w.metrics, Series: w.series, N: w.n, Size: w.args.Size,
	}
	var lab *netlab.Lab
	var noLab error
	if w.veth {
		if lab, noLab = netlab.New(); noLab == nil {
			defer lab.Close()
			w.args.SendNS, w.args.RecvNS = lab.SendNS, lab.RecvNS
		}
	}
	list := slices.DeleteFunc(slices.Clone(b.list), func(c contender) bool {
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
	if w.share > 0 {
		var err error
		if w.args.Pace, err = b.pace(ctx, list[0], w.args, w.share); err != nil {
			result.Peers[0].Failed = fmt.Sprintf("finding the pace failed: %v", err)
			return result
		}
		result.Title += fmt.Sprintf(": %d requests/s", w.args.Pace)
	}
	counted := b.report.Settings.Uncounted == "" && slices.Contains(w.metrics, report.Calls)
	for n := range b.rounds {
		m := b.meter
		m.count = counted && b.quick
		m.round(ctx, w, list, lab, result.Peers, n)
	}
	if counted && !b.quick {
		// Counting slows everything down, so of this round only the counts count.
		m := b.meter
		m.count = true
		m.duration /= 2 // a count per datagram needs no more
		once := slices.Clone(result.Peers)
		m.round(ctx, w, list, lab, once, b.rounds)
		for i := range once {
			result.Peers[i].Counted, result.Peers[i].Failed = once[i].Counted, once[i].Failed
		}
	}
	return result
}

// round measures all contenders one after the other, so that changes of the machine affect all of
// them, every second time from the last to the first.
func (m *meter) round(ctx context.Context, w workload, list []contender, lab *netlab.Lab, peers []report.Peer, n int) {
	for i := range list {
		if n%2 == 1 {
			i = len(list) - 1 - i
		}
		p := &peers[i]
		if p.Skipped != "" || ctx.Err() != nil {
			continue
		}
		f, err := m.once(ctx, w, list[i], lab)
		if err != nil {
			p.Failed = fmt.Sprintf("round %d failed: %v", n+1, err)
		}
		if v, ok := f[report.Calls]; ok {
			p.Counted = report.Figures{report.Calls: v}
			delete(f, report.Calls)
		}
		p.Rounds = append(p.Rounds, f) // nil for a failed round, so that pairs match
	}
}

// once measures a contender once. On the veth pair it also counts packets on the wire.
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
