package report

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// goal is a speed that the package must reach.
type goal struct {
	what     string
	workload string
	metric   string
	peer     string // a peer, or a family, whose best counts
	against  string // the same; "" for an absolute figure
	target   float64
	stretch  float64 // 0 if there is none
	atMost   bool
	unit     float64 // divides an absolute figure
}

// Families of peers, of which the best counts.
const (
	Ours  = "ours"  // the ways in which users of the package write their loops
	Libuv = "libuv" // the ways of libuv
)

var goals = []goal{
	// Many clients, where nothing coalesces.
	{what: "echo, 256 clients, Serve, against libuv: replies/s", workload: "echo256", metric: Rate, peer: "datagram-serve", against: Libuv, target: 1, stretch: 1.1},
	{what: "echo, 256 clients, Serve, against libuv: CPU a reply", workload: "echo256", metric: CPU, peer: "datagram-serve", against: Libuv, target: 1, stretch: 0.95, atMost: true},
	{what: "echo, 256 clients, Recv, against libuv: replies/s", workload: "echo256", metric: Rate, peer: "datagram", against: Libuv, target: 0.9, stretch: 1},
	{what: "echo, 256 clients, Recv, against libuv: CPU a reply", workload: "echo256", metric: CPU, peer: "datagram", against: Libuv, target: 1.15, stretch: 1, atMost: true},
	{what: "echo, 256 clients, Serve, against x/net: replies/s", workload: "echo256", metric: Rate, peer: "datagram-serve", against: "x/net", target: 1.15, stretch: 1.4},
	{what: "echo, 256 clients, Recv, against x/net: replies/s", workload: "echo256", metric: Rate, peer: "datagram", against: "x/net", target: 1.05, stretch: 1.25},
	{what: "echo, 256 clients, Serve, against net.UDPConn: replies/s", workload: "echo256", metric: Rate, peer: "datagram-serve", against: Baseline, target: 1.2, stretch: 1.4},
	{what: "echo, 256 clients, Serve, against net.UDPConn: CPU a reply", workload: "echo256", metric: CPU, peer: "datagram-serve", against: Baseline, target: 0.88, stretch: 0.7, atMost: true},
	{what: "echo, 256 clients, Recv, against net.UDPConn: replies/s", workload: "echo256", metric: Rate, peer: "datagram", against: Baseline, target: 1.1, stretch: 1.25},
	{what: "echo, 256 clients, Recv, against net.UDPConn: CPU a reply", workload: "echo256", metric: CPU, peer: "datagram", against: Baseline, target: 1.02, stretch: 0.9, atMost: true},
	{what: "256 senders, Recv, against net.UDPConn: datagrams/s", workload: "senders256", metric: Rate, peer: "datagram", against: Baseline, target: 1, stretch: 1.1},
	{what: "256 senders, Recv, against net.UDPConn: CPU of the receiver", workload: "senders256", metric: CPURecv, peer: "datagram", against: Baseline, target: 1, stretch: 0.8, atMost: true},

	// One flow.
	{what: "64 B, one flow, batches, against wireguard-go", workload: "flow64", metric: Rate, peer: "datagram-batch", against: "wireguard", target: 1.1, stretch: 1.4},
	{what: "512 B, one flow, batches, against wireguard-go", workload: "flow512", metric: Rate, peer: "datagram-batch", against: "wireguard", target: 1.1, stretch: 1.4},
	{what: "1200 B, one flow, batches, against wireguard-go", workload: "flow1200", metric: Rate, peer: "datagram-batch", against: "wireguard", target: 1.1, stretch: 1.4},
	{what: "64 B, one flow, Recv, against wireguard-go", workload: "flow64", metric: Rate, peer: "datagram", against: "wireguard", target: 0.9, stretch: 1.1},
	{what: "512 B, one flow, Recv, against wireguard-go", workload: "flow512", metric: Rate, peer: "datagram", against: "wireguard", target: 0.9, stretch: 1.1},
	{what: "1200 B, one flow, Recv, against wireguard-go", workload: "flow1200", metric: Rate, peer: "datagram", against: "wireguard", target: 0.9, stretch: 1.1},
	{what: "1200 B, one flow, best of ours, against raw C GSO+GRO", workload: "flow1200", metric: Rate, peer: Ours, against: "raw-gso", target: 0.6, stretch: 0.8},
	{what: "1200 B, one flow, Recv, against net.UDPConn", workload: "flow1200", metric: Rate, peer: "datagram", against: Baseline, target: 8, stretch: 15},
	{what: "1200 B, one flow, Recv, against libuv", workload: "flow1200", metric: Rate, peer: "datagram", against: Libuv, target: 8, stretch: 12},
	{what: "64 B, one flow, Recv, against net.UDPConn", workload: "flow64", metric: Rate, peer: "datagram", against: Baseline, target: 15, stretch: 40},
	{what: "1200 B across veth, segmentation off, against net.UDPConn", workload: "veth1200", metric: Rate, peer: "datagram", against: Baseline, target: 2, stretch: 3},

	// Many destinations, and many sockets.
	{what: "1,000 destinations, against net.UDPConn", workload: "flows1000", metric: Rate, peer: "datagram", against: Baseline, target: 1.2, stretch: 1.5},
	{what: "10,000 destinations, against net.UDPConn", workload: "flows10000", metric: Rate, peer: "datagram", against: Baseline, target: 1.2, stretch: 1.5},
	{what: "1,000 active handles, against net.UDPConn", workload: "conns1000", metric: Rate, peer: "datagram", against: Baseline, target: 1, stretch: 1.2},
	{what: "10,000 active handles, against net.UDPConn", workload: "conns10000", metric: Rate, peer: "datagram", against: Baseline, target: 1, stretch: 1.2},

	// One datagram at a time.
	{what: "ping-pong p50, Serve + TrySend, against net.UDPConn", workload: "pingpong", metric: P50, peer: "datagram-serve-try", against: Baseline, target: 1.05, stretch: 1, atMost: true},
	{what: "ping-pong p50, Recv + Send, against net with a channel", workload: "pingpong", metric: P50, peer: "datagram", against: "net-channel", target: 1, stretch: 0.9, atMost: true},
	{what: "ping-pong p50, Recv + Send, against net.UDPConn", workload: "pingpong", metric: P50, peer: "datagram", against: Baseline, target: 1.5, stretch: 1.2, atMost: true},

	// What it costs.
	{what: "longest stop of the garbage collector, Send, µs", workload: "gcstop", metric: GCStop, peer: "datagram", target: 300, stretch: 100, atMost: true, unit: 1e3},
	{what: "longest stop of the garbage collector, SendBatch, µs", workload: "gcstop", metric: GCStop, peer: "datagram-batch", target: 300, stretch: 100, atMost: true, unit: 1e3},
	{what: "allocations a datagram, sending", workload: "cpu1200", metric: AllocsSend, peer: "datagram", target: 0.005, atMost: true, unit: 1},
	{what: "allocations a datagram, receiving", workload: "cpu1200", metric: AllocsRecv, peer: "datagram", target: 0.005, atMost: true, unit: 1},
	{what: "idle receiving Conn, KiB resident", workload: "idle10k", metric: Conn, peer: "datagram-unread", target: 12, stretch: 8, atMost: true, unit: 1 << 10},
	{what: "the same with a goroutine that waits for its channel", workload: "idle10k", metric: Conn, peer: "datagram", target: 12, stretch: 10, atMost: true, unit: 1 << 10},

	// All metadata, against none.
	{what: "1200 B, one flow, all metadata, against none", workload: "flow1200", metric: Rate, peer: "datagram-metadata", against: "datagram", target: 0.9},
	{what: "64 B, one flow, all metadata, against none", workload: "flow64", metric: Rate, peer: "datagram-metadata", against: "datagram", target: 0.9},
	{what: "echo, 256 clients, all metadata, against none", workload: "echo256", metric: Rate, peer: "datagram-metadata", against: "datagram", target: 0.9},
	{what: "allocations a datagram, all metadata", workload: "flow1200", metric: Allocs, peer: "datagram-metadata", target: 0.005, atMost: true, unit: 1},
}

// Outcome is a goal and its result.
type Outcome struct {
	What    string  `json:"what"`
	AtMost  bool    `json:"at_most,omitempty"`
	Target  float64 `json:"target"`
	Stretch float64 `json:"stretch,omitempty"`
	Value   float64 `json:"value"`
	Low     float64 `json:"low"`     // of the rounds
	High    float64 `json:"high"`    // of the rounds
	Verdict string  `json:"verdict"` // met, stretch, missed, not measured
}

// Judge fills in Targets.
func (r *Run) Judge() {
	r.Targets = nil
	for _, g := range slices.Concat(goals, libraryGoals) {
		o := Outcome{What: g.what, AtMost: g.atMost, Target: g.target, Stretch: g.stretch, Verdict: "not measured"}
		if vs := g.values(r.Workload(g.workload)); len(vs) > 0 {
			o.Value, o.Low, o.High = median(vs), slices.Min(vs), slices.Max(vs)
			o.Verdict = "missed"
			if reached(o.Value, g.target, g.atMost) {
				o.Verdict = "met"
			}
			if g.stretch != 0 && reached(o.Value, g.stretch, g.atMost) {
				o.Verdict = "stretch"
			}
		}
		r.Targets = append(r.Targets, o)
	}
}

// values returns the goal's figure in every round.
func (g *goal) values(w *Workload) []float64 {
	p := w.find(g.peer)
	if p == nil {
		return nil
	}
	if g.against != "" {
		return ratios(p, w.find(g.against), g.metric)
	}
	vs := p.values(g.metric)
	for i := range vs {
		vs[i] /= g.unit
	}
	return vs
}

func reached(v, limit float64, atMost bool) bool {
	if atMost {
		return v <= limit
	}
	return v >= limit
}

// margin says how far the figure is from the target.
func (o *Outcome) margin() string {
	part := o.Value/o.Target - 1
	if o.AtMost {
		part = -part
	}
	switch {
	case o.Verdict == "not measured":
		return o.Verdict
	case part < 0:
		return fmt.Sprintf("missed by %.0f %%", -100*part)
	}
	return fmt.Sprintf("%s, %.0f %% to spare", o.Verdict, 100*part)
}

// TargetTable prints every goal with its verdict.
func (r *Run) TargetTable(out io.Writer) {
	fmt.Fprintln(out, "\nspeed to reach")
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\ttarget\tstretch\tmeasured\tspread\t")
	for _, o := range r.Targets {
		sign := "≥"
		if o.AtMost {
			sign = "≤"
		}
		stretch, value, rounds := "", "–", "–"
		if o.Stretch != 0 {
			stretch = fmt.Sprintf("%s %v", sign, o.Stretch)
		}
		if o.Verdict != "not measured" {
			value, rounds = fmt.Sprintf("%.3g", o.Value), fmt.Sprintf("%.3g–%.3g", o.Low, o.High)
		}
		fmt.Fprintf(t, "%s\t%s %v\t%s\t%s\t%s\t%s\n", o.What, sign, o.Target, stretch, value, rounds, o.margin())
	}
	_ = t.Flush() // an error of standard output is obvious
}
