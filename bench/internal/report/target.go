package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// goal is one speed that the package has to reach.
type goal struct {
	what     string
	workload string
	metric   string
	peer     string
	against  string // a peer; "libuv" for the best of its family; "" for an absolute figure
	target   float64
	stretch  float64 // 0 if there is none
	atMost   bool
	unit     float64 // divides an absolute figure
}

var goals = []goal{
	{what: "1200 B, one flow, against net.UDPConn", workload: "flow1200", metric: Rate, peer: "datagram", against: Baseline, target: 8, stretch: 15},
	{what: "1200 B, one flow, against libuv", workload: "flow1200", metric: Rate, peer: "datagram", against: "libuv", target: 8, stretch: 12},
	{what: "1200 B, one flow, against raw C GSO+GRO", workload: "flow1200", metric: Rate, peer: "datagram", against: "raw-gso", target: 0.8, stretch: 0.95},
	{what: "64 B, one flow, against net.UDPConn", workload: "flow64", metric: Rate, peer: "datagram", against: Baseline, target: 15, stretch: 40},
	{what: "echo, 256 clients, Serve + Send: replies/s", workload: "echo256", metric: Rate, peer: "datagram-serve", against: Baseline, target: 1.2, stretch: 1.4},
	{what: "echo, 256 clients, Serve + Send: CPU a reply", workload: "echo256", metric: CPU, peer: "datagram-serve", against: Baseline, target: 0.88, stretch: 0.7, atMost: true},
	{what: "echo, 256 clients, Recv + Send: replies/s", workload: "echo256", metric: Rate, peer: "datagram", against: Baseline, target: 1.1, stretch: 1.25},
	{what: "echo, 256 clients, Recv + Send: CPU a reply", workload: "echo256", metric: CPU, peer: "datagram", against: Baseline, target: 1.02, stretch: 0.9, atMost: true},
	{what: "1200 B across veth, segmentation off", workload: "veth1200", metric: Rate, peer: "datagram", against: Baseline, target: 2, stretch: 3},
	{what: "ping-pong p50, Serve + TrySend", workload: "pingpong", metric: P50, peer: "datagram-serve-try", against: Baseline, target: 1.05, stretch: 1, atMost: true},
	{what: "ping-pong p50, Recv + Send", workload: "pingpong", metric: P50, peer: "datagram", against: Baseline, target: 1.5, stretch: 1.2, atMost: true},
	{what: "allocations a datagram, sending", workload: "cpu1200", metric: AllocsSend, peer: "datagram", target: 0.005, atMost: true, unit: 1},
	{what: "allocations a datagram, receiving", workload: "cpu1200", metric: AllocsRecv, peer: "datagram", target: 0.005, atMost: true, unit: 1},
	{what: "1200 B, one flow, all metadata, against none", workload: "flow1200", metric: Rate, peer: "datagram-metadata", against: "datagram", target: 0.9},
	{what: "64 B, one flow, all metadata, against none", workload: "flow64", metric: Rate, peer: "datagram-metadata", against: "datagram", target: 0.9},
	{what: "echo, 256 clients, all metadata, against none", workload: "echo256", metric: Rate, peer: "datagram-metadata", against: "datagram", target: 0.9},
	{what: "allocations a datagram, all metadata", workload: "flow1200", metric: Allocs, peer: "datagram-metadata", target: 0.005, atMost: true, unit: 1},
	{what: "idle receiving Conn, KiB resident", workload: "idle10k", metric: Conn, peer: "datagram-unread", target: 12, stretch: 8, atMost: true, unit: 1 << 10},
	{what: "the same with a goroutine that waits for its channel", workload: "idle10k", metric: Conn, peer: "datagram", target: 12, stretch: 8, atMost: true, unit: 1 << 10},
}

// Outcome is a goal with what came of it.
type Outcome struct {
	What    string  `json:"what"`
	AtMost  bool    `json:"at_most,omitempty"`
	Target  float64 `json:"target"`
	Stretch float64 `json:"stretch,omitempty"`
	Value   float64 `json:"value"`
	Verdict string  `json:"verdict"` // met, stretch, missed, not measured
}

// Judge fills in Targets.
func (r *Run) Judge() {
	r.Targets = nil
	for _, g := range goals {
		o := Outcome{What: g.what, AtMost: g.atMost, Target: g.target, Stretch: g.stretch, Verdict: "not measured"}
		if v, ok := g.value(r.Workload(g.workload)); ok {
			o.Value, o.Verdict = v, "missed"
			if reached(v, g.target, g.atMost) {
				o.Verdict = "met"
			}
			if g.stretch != 0 && reached(v, g.stretch, g.atMost) {
				o.Verdict = "stretch"
			}
		}
		r.Targets = append(r.Targets, o)
	}
}

func (g *goal) value(w *Workload) (float64, bool) {
	p := w.Peer(g.peer)
	if p == nil {
		return 0, false
	}
	if g.against == "" {
		return p.Median(g.metric) / g.unit, true
	}
	base := w.Best(g.against)
	if base == nil {
		base = w.Peer(g.against)
	}
	v := Ratio(p, base, g.metric)
	return v, v != 0
}

func reached(v, limit float64, atMost bool) bool {
	if atMost {
		return v <= limit
	}
	return v >= limit
}

// TargetTable prints every goal with its verdict.
func (r *Run) TargetTable(out io.Writer) {
	fmt.Fprintln(out, "\nspeed to reach")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\ttarget\tstretch\tmeasured\t")
	for _, o := range r.Targets {
		sign := "≥"
		if o.AtMost {
			sign = "≤"
		}
		stretch, value := "", "–"
		if o.Stretch != 0 {
			stretch = fmt.Sprintf("%s %v", sign, o.Stretch)
		}
		if o.Verdict != "not measured" {
			value = fmt.Sprintf("%.3g", o.Value)
		}
		fmt.Fprintf(t, "%s\t%s %v\t%s\t%s\t%s\n", o.What, sign, o.Target, stretch, value, o.Verdict)
	}
	_ = t.Flush() // an error of standard output shows by itself
}
