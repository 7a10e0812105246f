package main

import (
	"context"
	"fmt"
	"slices"

	"example.com/datagram/bench/internal/child"
	"example.com/datagram/bench/internal/netlab"
	"example.com/datagram/bench/internal/report"
)

// workload is one thing to measure every contender with.
type workload struct {
	name, title string
	args        child.Args
	metrics     []string
	measure     func(*meter, context.Context, contender, child.Args) (report.Figures, error)
	only        []string // the contenders it is for, nil for all
	series      string   // for the growth tables
	n           int
	veth        bool // needs namespaces of its own
}

var (
	flowMetrics = []string{report.Rate, report.CPU, report.Allocs, report.Loss}
	echoMetrics = []string{report.Rate, report.CPU, report.Allocs, report.P50, report.P99, report.Loss}
)

// growers are the contenders whose growth is worth its time: the others differ from one of these
// by a constant.
var growers = []string{"net", "datagram", "libuv-mmsg", "raw-mmsg"}

// Series of the growth tables.
const (
	flowSeries = "flows"
	connSeries = "conns"
)

// workloads lists all. buffer is the receive buffer that sockets get; quick makes the crowds small.
func workloads(buffer int, quick bool) []workload {
	flow := func(size int) child.Args {
		return child.Args{Role: "flow", Size: size, Window: window(buffer, size)}
	}
	var list []workload
	for _, size := range []int{64, 512, 1200, 1472} {
		list = append(list, workload{
			name: fmt.Sprintf("flow%d", size), title: fmt.Sprintf("one flow of %d B, sender and receiver in one process", size),
			args: flow(size), metrics: flowMetrics, measure: (*meter).flow,
		})
	}
	many := flow(1200)
	many.Dests = 256
	veth := flow(1200)
	veth.Bind = netlab.RecvAddr
	idle := 10_000
	sizes := []int{1, 10, 100, 1000, 10_000}
	if quick {
		idle, sizes = 100, []int{1, 10}
	}
	list = append(list,
		workload{
			name: "dest256", title: "256 destinations in turn, 1200 B",
			args: many, metrics: flowMetrics, measure: (*meter).flow,
		},
		workload{
			name: "senders256", title: "256 neutral senders in turn to one socket, 1200 B",
			args:    child.Args{Role: "recv", Size: 1200, Clients: 256},
			metrics: []string{report.Rate, report.CPURecv, report.AllocsRecv, report.Loss}, measure: (*meter).split,
		},
		workload{
			name: "veth1200", title: "one flow of 1200 B across a veth pair without UDP segmentation",
			args: veth, metrics: append(slices.Clone(flowMetrics), report.Wire), measure: (*meter).flow, veth: true,
		},
		workload{
			name: "cpu1200", title: "one flow of 1200 B, unbounded, sender and receiver in a process each",
			args:    child.Args{Role: "send", Size: 1200},
			metrics: []string{report.Rate, report.CPUSend, report.CPURecv, report.AllocsSend, report.AllocsRecv, report.Loss},
			measure: (*meter).split,
		},
		workload{
			name: "echo256", title: "echo server, 256 clients with 4 requests of 100 B in flight each",
			args:    child.Args{Role: "echo", Size: 100, Clients: 256, Depth: 4},
			metrics: echoMetrics, measure: (*meter).echo,
		},
		workload{
			name: "echowindow", title: "echo server, one client with 64 requests of 100 B in flight",
			args:    child.Args{Role: "echo", Size: 100, Clients: 1, Depth: 64},
			metrics: echoMetrics, measure: (*meter).echo,
		},
		workload{
			name: "pingpong", title: "ping-pong of 64 B between two processes of the same peer",
			args:    child.Args{Role: "ping", Size: 64},
			metrics: []string{report.P50, report.P99, report.P999, report.Rate}, measure: (*meter).ping,
		},
		workload{
			name: "idle10k", title: fmt.Sprintf("%d idle receiving sockets", idle),
			args: child.Args{Role: "idle", Count: idle}, metrics: []string{report.Conn, report.Slab}, measure: (*meter).idle,
		},
	)
	for _, n := range sizes {
		a := flow(1200)
		a.Dests = n
		list = append(list, workload{
			name: fmt.Sprintf("flows%d", n), title: fmt.Sprintf("%d destinations in turn", n), args: a,
			metrics: append(slices.Clone(flowMetrics), report.RSS), measure: (*meter).flow,
			only: growers, series: flowSeries, n: n,
		})
	}
	for _, n := range sizes {
		a := flow(1200)
		a.Receivers = n
		list = append(list, workload{
			name: fmt.Sprintf("conns%d", n), title: fmt.Sprintf("%d receiving sockets in turn", n), args: a,
			metrics: append(slices.Clone(flowMetrics), report.RSS), measure: (*meter).flow,
			only: growers, series: connSeries, n: n,
		})
	}
	return list
}

// window is how many datagrams may be in flight: as many as half of the receive buffer holds, as
// the kernel charges them, so that a receiver that keeps up loses none. A plain datagram of up to
// about 200 B is charged 832 bytes, one of up to an MTU 2304.
func window(buffer, size int) int {
	charge := 2304
	if size <= 200 {
		charge = 832
	}
	return max(256, buffer/2/charge)
}
