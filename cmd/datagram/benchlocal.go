package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"example.com/datagram"
)

func newBenchLocal(out *output) *cobra.Command {
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Compare package datagram with net.UDPConn on this machine",
		Long: `Compare package datagram with net.UDPConn on the loopback interface of this machine,
and tell which offloads make the difference. A network card gains less from them
than the loopback, where a segmented batch arrives in one piece.`,
		Example: "  datagram bench local",
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := inRange("duration", duration, 100*time.Millisecond, time.Hour); err != nil {
				return err
			}
			return runBenchLocal(cmd.Context(), out, duration)
		},
	}
	cmd.Flags().DurationVarP(&duration, "duration", "d", 10*time.Second, "how long to measure")
	return cmd
}

// A way is a way to use UDP: how to open a socket to send from, and one to receive at.
type way struct {
	name             string
	sender, receiver opener
}

// handles is the way of package datagram, with these offloads.
func handles(name string, send, receive datagram.Offload) way {
	return way{name, openDatagram(send), openDatagram(receive)}
}

// The ways, each with one more of what the system offers than the one before.
var (
	standard = way{"net.UDPConn", openStandard, openStandard}
	single   = handles("datagram, single calls", datagram.OffloadNone, datagram.OffloadNone)
	batches  = handles("+ batches", datagram.OffloadBatch, datagram.OffloadBatch)
	gso      = handles("+ GSO", datagram.OffloadAll, datagram.OffloadBatch) // the system splits what it delivers
	gro      = handles("+ GRO", datagram.OffloadAll, datagram.OffloadAll)
	whole    = handles("datagram", datagram.OffloadAll, datagram.OffloadAll)
)

// A trial measures some ways at one task.
type trial struct {
	name    string
	ways    []way
	measure func(context.Context, way, time.Duration) (figures, error)
}

var trials = []trial{
	{"one flow of 1,200 bytes", []way{standard, single, batches, gso, gro}, measureFlow},
	{"echo of 64 bytes, 64 in flight", []way{standard, whole}, func(ctx context.Context, w way, d time.Duration) (figures, error) {
		return measureEcho(ctx, w, d, 64)
	}},
	{"echo of 64 bytes, one at a time", []way{standard, whole}, func(ctx context.Context, w way, d time.Duration) (figures, error) {
		return measureEcho(ctx, w, d, 1)
	}},
}

// rounds is how often each way is measured, in turn with the others.
const rounds = 3

func runBenchLocal(ctx context.Context, out *output, duration time.Duration) error {
	parts := 0
	for _, t := range trials {
		parts += rounds * len(t.ways)
	}
	out.say("machine", machine{runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.Version()})
	var flow comparison
	for _, t := range trials {
		c := comparison{Name: t.name, Results: make([]figures, len(t.ways))}
		measured := make([][]figures, len(t.ways))
		for range rounds {
			for i, w := range t.ways {
				f, err := t.measure(ctx, w, duration/time.Duration(parts))
				if err != nil {
					return err
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				measured[i] = append(measured[i], f)
			}
		}
		for i, w := range t.ways {
			c.Results[i] = median(measured[i])
			c.Results[i].Way = w.name
		}
		out.say("comparison", c)
		if t.name == trials[0].name {
			flow = c
		}
	}
	o, err := newOffloads(ctx, flow)
	if err != nil {
		return err
	}
	out.say("offloads", o)
	return nil
}

// newOffloads returns what is in use by default, and what it did for one flow.
func newOffloads(ctx context.Context, flow comparison) (offloads, error) {
	conn, err := datagram.Listen(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return offloads{}, err
	}
	defer conn.Close()
	c := conn.Capabilities()
	step := func(f datagram.Feature, way string) offload {
		i := slices.IndexFunc(flow.Results, func(r figures) bool { return r.Way == way })
		return offload{f.String(), quotient(float64(flow.Results[i-1].CPUEach), float64(flow.Results[i].CPUEach))}
	}
	return offloads{step(c.Batch, batches.name), step(c.GSO, gso.name), step(c.GRO, gro.name)}, nil
}

// measureFlow measures datagrams from one socket to another.
func measureFlow(ctx context.Context, w way, d time.Duration) (figures, error) {
	receiver, err := w.receiver(ctx)
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = receiver.close() }()
	sender, err := w.sender(ctx)
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = sender.close() }()

	var arrived atomic.Uint64
	go receiver.receive(func(netip.AddrPort, []byte) { arrived.Add(1) })
	payload, to := make([]byte, 1200), receiver.address()
	begin, cpu := time.Now(), cpuTime()
	for time.Since(begin) < d && ctx.Err() == nil {
		for range maxBatch {
			if err := sender.send(to, payload); err != nil {
				return figures{}, err
			}
		}
	}
	n := float64(arrived.Load())
	return figures{
		Rate:    n / time.Since(begin).Seconds(),
		CPUEach: time.Duration(quotient(float64(cpuTime()-cpu), n)),
	}, nil
}

// measureEcho measures an echo. The client is the same for all ways.
func measureEcho(ctx context.Context, w way, d time.Duration, inFlight int) (figures, error) {
	server, err := w.receiver(ctx)
	if err != nil {
		return figures{}, err
	}
	defer func() { _ = server.close() }()
	go server.receive(func(from netip.AddrPort, payload []byte) { _ = server.send(from, payload) })

	conn, err := datagram.Dial(ctx, "udp", server.address().String())
	if err != nil {
		return figures{}, err
	}
	defer conn.Close()
	client := newLoad(conn, 64, inFlight, time.Second)
	timed, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	begin, cpu := time.Now(), cpuTime()
	err = client.run(timed)
	c, times := client.tracker.snapshot()
	n := float64(c.Answered)
	return figures{
		Rate:    n / time.Since(begin).Seconds(),
		CPUEach: time.Duration(quotient(float64(cpuTime()-cpu), n)),
		Median:  times.Median,
	}, err
}

// figures are what was measured of one way.
type figures struct {
	Way     string        `json:"way"`
	Rate    float64       `json:"datagrams_per_second"`
	CPUEach time.Duration `json:"cpu_per_datagram_ns"` // of sender and receiver together
	Median  time.Duration `json:"median_round_trip_ns,omitempty"`
}

// median returns the figures of the round whose rate is in the middle.
func median(rounds []figures) figures {
	slices.SortFunc(rounds, func(a, b figures) int { return cmp.Compare(a.Rate, b.Rate) })
	return rounds[len(rounds)/2]
}

// A comparison holds the figures of a trial.
type comparison struct {
	Name    string    `json:"name"`
	Results []figures `json:"results"`
}

func (c comparison) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-32s %9s  %7s  %9s", c.Name, "rate", "", "CPU each")
	for i, r := range c.Results {
		if i == 0 && r.Median > 0 {
			fmt.Fprintf(&b, "  %9s", "median")
		}
		fmt.Fprintf(&b, "\n  %-30s %9s  %6.3g×  %9s", r.Way, perSecond(r.Rate), quotient(r.Rate, c.Results[0].Rate), brief(r.CPUEach))
		if r.Median > 0 {
			fmt.Fprintf(&b, "  %9s", brief(r.Median))
		}
	}
	return b.String()
}

type machine struct {
	System       string `json:"system"`
	Architecture string `json:"architecture"`
	Processors   int    `json:"processors"`
	Go           string `json:"go"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s/%s, %d processors, %s", m.System, m.Architecture, m.Processors, m.Go)
}

// offloads tell what makes the difference. CPU time tells more than the rate if others use the machine.
type offloads struct {
	Batch offload `json:"batch"`
	GSO   offload `json:"gso"`
	GRO   offload `json:"gro"`
}

type offload struct {
	State string  `json:"state"`
	Gain  float64 `json:"gain"` // CPU time for a datagram without it, relative to that with it
}

func (o offload) String() string { return fmt.Sprintf("%4.2g×  %s", o.Gain, o.State) }

func (o offloads) String() string {
	return fmt.Sprintf(`
What saves CPU time, for one flow:
  batches  %v: a system call moves several datagrams
  GSO      %v: the system takes a run of datagrams as one
  GRO      %v: and delivers it as one`, o.Batch, o.GSO, o.GRO)
}
