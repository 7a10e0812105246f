package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
)

// Header prints the machine and the settings.
func (r *Run) Header(out io.Writer) {
	m := r.Machine
	fmt.Fprintf(out, "machine   %s, %d cores, Linux %s, %s\n", m.CPU, m.Cores, m.Kernel, m.Go)
	for _, name := range slices.Sorted(maps.Keys(m.Modules)) {
		fmt.Fprintf(out, "          %s %s\n", name, m.Modules[name])
	}
	if m.Libuv != "" {
		fmt.Fprintf(out, "          libuv %s, %s\n", m.Libuv, m.Compiler)
	}
	s := r.Settings
	fmt.Fprintf(out, "settings  %d rounds of %v, receive buffer granted %s, load average at the start %s\n",
		s.Rounds, s.Duration, size(float64(s.Buffer)), s.Load)
	if s.Uncounted != "" {
		fmt.Fprintf(out, "          system calls are not counted: %s\n", s.Uncounted)
	}
}

// Table prints one workload: a line for each peer, in the order in which they ran.
func (w *Workload) Table(out io.Writer) {
	fmt.Fprintf(out, "\n%s: %s\n", w.Name, w.Title)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	main := w.Metrics[0]
	fmt.Fprintf(t, "peer\t%s\tmin\tmax\t× %s\tspread\t", metrics[main].label, Baseline)
	for _, m := range w.Metrics[1:] {
		fmt.Fprintf(t, "%s\t", metrics[m].label)
		if judged(m) {
			fmt.Fprintf(t, "× %s\t", Baseline)
		}
	}
	fmt.Fprintln(t)
	for i := range w.Peers {
		p := &w.Peers[i]
		if !p.measured() {
			continue
		}
		s := p.Summary[main]
		show := metrics[main].format
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t", p.Name, show(s.Median), show(s.Min), show(s.Max), ratio(s.Ratio), spread(s.RatioMin, s.RatioMax))
		for _, m := range w.Metrics[1:] {
			w.cell(t, p, m)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush() // an error of standard output shows by itself
	for _, p := range w.Peers {
		for _, why := range []string{p.Skipped, p.Failed} {
			if why != "" {
				fmt.Fprintf(out, "  %s: %s\n", p.Name, why)
			}
		}
	}
}

func (w *Workload) cell(t io.Writer, p *Peer, m string) {
	s, ok := p.Summary[m]
	if !ok {
		fmt.Fprint(t, "–\t")
		if judged(m) {
			fmt.Fprint(t, "–\t")
		}
		return
	}
	fmt.Fprintf(t, "%s\t", metrics[m].format(s.Median))
	if judged(m) {
		fmt.Fprintf(t, "%s\t", ratio(s.Ratio))
	}
}

// judged reports whether a metric besides the main one gets a column of ratios.
func judged(m string) bool {
	switch m {
	case CPU, CPUSend, CPURecv, P50:
		return true
	}
	return false
}

func ratio(v float64) string {
	if v == 0 {
		return "–"
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// spread formats the lowest and highest of some ratios.
func spread(low, high float64) string {
	if low == 0 {
		return "–"
	}
	return ratio(low) + "–" + ratio(high)
}

// Growth prints the workloads of one series as two tables, with a column for each size: the time
// per datagram, and the memory of a process.
func (r *Run) Growth(out io.Writer, series, title string) {
	var ws []*Workload
	for i := range r.Workloads {
		if r.Workloads[i].Series == series {
			ws = append(ws, &r.Workloads[i])
		}
	}
	if len(ws) == 0 {
		return
	}
	rows := []struct{ metric, label string }{
		{Rate, "datagrams a second"}, {CPU, "CPU a datagram"}, {RSS, "resident memory of the process"},
	}
	for _, row := range rows {
		fmt.Fprintf(out, "\n%s: %s\n", title, row.label)
		t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(t, "peer\t")
		for _, w := range ws {
			fmt.Fprintf(t, "%d\t", w.N)
		}
		fmt.Fprintln(t)
		for i := range ws[0].Peers {
			growthLine(t, ws, ws[0].Peers[i].Name, row.metric)
		}
		_ = t.Flush() // an error of standard output shows by itself
	}
}

func growthLine(t io.Writer, ws []*Workload, name, m string) {
	fmt.Fprintf(t, "%s\t", name)
	for _, w := range ws {
		if p := w.Peer(name); p != nil {
			fmt.Fprintf(t, "%s\t", metrics[m].format(p.Median(m)))
		} else {
			fmt.Fprint(t, "–\t")
		}
	}
	fmt.Fprintln(t)
}
