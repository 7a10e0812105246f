package main

import (
	"context"
	"fmt"
	"slices"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/netlab"
	"example.com/datagram/bench/internal/report"
)

// workload is something to measure every contender with.
type workload struct {
	name, title string
	args        child.Args
	metrics     []string
	measure     func(*meter, context.Context, contender, child.Args) (report.Figures, error)
	only        []string // contenders that take part, nil for all
	series      string   // for the tables over several workloads
	n           int
	share       float64 // of the requests that the baseline can answer; sets args.Pace
	veth        bool    // needs its own namespaces
}

// What most workloads measure, besides context switches and system calls.
var (
	flowMetrics = []string{report.Rate, report.CPU, report.Allocs, report.Loss}
	echoMetrics = []string{report.Rate, report.CPU, report.Allocs, report.P50, report.P99, report.Loss, report.LoadBusy}
)

var (
	// one of each kind, for workloads that are many or take long
	typical = []string{
		"net", "x/net", "gnet", "wireguard", "datagram", "datagram-serve", "datagram-batch",
		"libuv-mmsg", "raw-mmsg", "raw-gso",
	}
	// those of the growth tables
	growers = []string{"net", "datagram", "datagram-batch", "libuv-mmsg", "raw-mmsg"}
)

// workloads returns all workloads. buffer is the receive buffer that sockets get; quick keeps
// crowds small.
func workloads(buffer int, quick bool) []workload {
	g := generator{buffer: buffer, quick: quick}
	var list []workload
	list = append(list, g.flows()...)
	list = append(list, g.oneWay()...)
	list = append(list, g.answers()...)
	list = append(list, g.shared()...)
	list = append(list, g.libraries()...)
	list = append(list, g.grid()...)
	list = append(list, g.growth()...)
	for i := range list {
		if list[i].args.Role != "idle" {
			list[i].metrics = append(slices.Clone(list[i].metrics), report.Switches, report.Calls)
		}
	}
	return list
}

// generator makes workloads.
type generator struct {
	buffer int
	quick  bool
}

// crowd returns n, or fewer for a quick run.
func (g generator) crowd(n int) int {
	if g.quick {
		return min(n, 100)
	}
	return n
}

// flow returns the arguments of one flow within a process.
func (g generator) flow(size int) child.Args {
	return child.Args{Role: "flow", Size: size, Window: window(g.buffer, size)}
}

func (g generator) flows() []workload {
	var list []workload
	for _, size := range []int{64, 512, 1200, 1472} {
		list = append(list, workload{
			name: fmt.Sprintf("flow%d", size), title: fmt.Sprintf("one flow of %d B, sender and receiver in one process", size),
			args: g.flow(size), metrics: flowMetrics, measure: (*meter).flow, series: report.Grid, n: 1,
		})
	}
	return list
}

func (g generator) oneWay() []workload {
	veth := g.flow(1200)
	veth.Bind = netlab.RecvAddr
	gc := g.flow(8000) // system calls that take as long as any
	gc.Collect = 1
	return []workload{
		{
			name: "senders256", title: "256 neutral senders in turn to one socket, 1200 B",
			args:    child.Args{Role: "recv", Size: 1200, Clients: 256},
			metrics: []string{report.Rate, report.CPURecv, report.AllocsRecv, report.Loss, report.LoadBusy},
			measure: (*meter).split,
		},
		{
			name: "veth1200", title: "one flow of 1200 B across a veth pair without UDP segmentation",
			args: veth, metrics: append(slices.Clone(flowMetrics), report.Wire), measure: (*meter).flow, veth: true,
		},
		{
			name: "gcstop", title: "one flow of 8000 B, while garbage is collected all the time",
			args: gc, metrics: []string{report.GCStop, report.Rate}, measure: (*meter).flow,
			only: []string{"net", "x/net", "datagram", "datagram-serve", "datagram-batch"},
		},
		{
			name: "cpu1200", title: "one flow of 1200 B, unbounded, sender and receiver in a process each",
			args:    child.Args{Role: "send", Size: 1200},
			metrics: []string{report.Rate, report.CPUSend, report.CPURecv, report.AllocsSend, report.AllocsRecv, report.Loss},
			measure: (*meter).split,
		},
	}
}

// answers returns the workloads with answers. Requests have 100 B.
func (g generator) answers() []workload {
	echo := func(name, title string, clients, flight int, only []string) workload {
		clients = g.crowd(clients)
		return workload{
			name: name, title: fmt.Sprintf("echo server, "+title, clients), metrics: echoMetrics, measure: (*meter).echo, only: only,
			args: child.Args{Role: "echo", Size: 100, Clients: clients, Flight: flight},
		}
	}
	half := echo("echohalf", "%d clients that send half of what "+report.Baseline+" could answer", 256, 1024, nil)
	half.share = 0.5
	half.metrics = []string{report.CPU, report.P50, report.P99, report.Rate, report.Loss, report.LoadBusy}
	idle := g.crowd(10_000)
	return []workload{
		echo("echo256", "%d clients with 4 requests of 100 B in flight each", 256, 1024, nil),
		echo("echo256x1", "%d clients with 1 request of 100 B in flight each", 256, 256, nil),
		echo("echo1000", "%d clients with 1 request of 100 B in flight each", 1000, 1000, typical),
		echo("echo10000", "%d clients that have 1024 requests of 100 B in flight", 10_000, 1024, typical),
		half,
		echo("echowindow", "%d client with 64 requests of 100 B in flight", 1, 64, nil),
		{
			name: "pingpong", title: "ping-pong of 64 B between two processes of the same peer",
			args:    child.Args{Role: "ping", Size: 64},
			metrics: []string{report.P50, report.P99, report.P999, report.Rate}, measure: (*meter).ping,
		},
		{
			name: "idle10k", title: fmt.Sprintf("%d idle receiving sockets", idle),
			args: child.Args{Role: "idle", Count: idle}, metrics: []string{report.Conn, report.Slab}, measure: (*meter).idle,
			only: []string{"net", "datagram", "datagram-serve", "datagram-batch", "datagram-unread", "libuv-mmsg", "raw-plain"},
		},
	}
}

// shared returns the echo servers with several sockets on one port.
func (g generator) shared() []workload {
	var list []workload
	for _, clients := range []int{256, 10_000} {
		for _, handles := range []int{1, 2, 4} {
			list = append(list, workload{
				name:    fmt.Sprintf("echo%dg%d", clients, handles),
				title:   fmt.Sprintf("echo server with %d sockets on its port, %d clients that have 1024 requests of 100 B in flight", handles, g.crowd(clients)),
				args:    child.Args{Role: "echo", Size: 100, Clients: g.crowd(clients), Flight: 1024, Handles: handles},
				metrics: echoMetrics, measure: (*meter).echo, only: []string{"net", "x/net", "datagram-serve"},
			})
		}
	}
	return list
}

// grid returns the table of sizes and flows. One flow of the smaller sizes is among flows.
func (g generator) grid() []workload {
	var list []workload
	for _, size := range []int{64, 512, 1200, 8000} {
		for _, n := range []int{1, 16, 256} {
			if n == 1 && size < 8000 {
				continue
			}
			a := g.flow(size)
			a.Dests = n
			list = append(list, workload{
				name: fmt.Sprintf("flow%dx%d", size, n), title: fmt.Sprintf("%d destinations in turn, %d B", n, size),
				args: a, metrics: flowMetrics, measure: (*meter).flow, only: typical, series: report.Grid, n: n,
			})
		}
	}
	return list
}

// growth returns the series of growing numbers of destinations and of sockets.
func (g generator) growth() []workload {
	var list []workload
	sizes := []int{1, 10, 100, 1000, 10_000}
	if g.quick {
		sizes = sizes[:2]
	}
	for _, series := range []struct{ name, title string }{
		{report.Flows, "%d destinations in turn"},
		{report.Conns, "%d receiving sockets in turn"},
	} {
		for _, n := range sizes {
			a := g.flow(1200)
			if series.name == report.Flows {
				a.Dests = n
			} else {
				a.Receivers = n
			}
			list = append(list, workload{
				name: fmt.Sprintf("%s%d", series.name, n), title: fmt.Sprintf(series.title, n), args: a,
				metrics: append(slices.Clone(flowMetrics), report.RSS), measure: (*meter).flow,
				only: growers, series: series.name, n: n,
			})
		}
	}
	return list
}

// window returns how many datagrams may be in flight: as many as half of the receive buffer holds,
// as the kernel charges them, so that a receiver that keeps up loses none. The kernel charges 832
// bytes for a plain datagram of up to about 200 B, 2304 for one of up to an MTU, and 16640 for one
// of 8000 B: what it allocates and 256 for its own structure.
func window(buffer, size int) int {
	charge := 2304
	switch {
	case size <= 200:
		charge = 832
	case size > 1500:
		charge = 16640
	}
	return max(256, buffer/2/charge)
}
