package report

import (
	"fmt"
	"math"
)

// The metrics, as keys of Figures.
const (
	Rate       = "rate"        // datagrams received, or replies, per second
	CPU        = "cpu"         // ns of CPU time of the peer's process per datagram
	CPUSend    = "cpu_send"    // the same for the sending process
	CPURecv    = "cpu_recv"    // the same for the receiving process
	Allocs     = "allocs"      // heap objects per datagram
	AllocsSend = "allocs_send" // the same for the sending process
	AllocsRecv = "allocs_recv" // the same for the receiving process
	Loss       = "loss"        // share of the datagrams sent that did not arrive
	P50        = "p50"         // ns of a round trip
	P99        = "p99"
	P999       = "p99.9"
	RSS        = "rss"  // resident bytes of the process
	Conn       = "conn" // resident bytes per idle socket
	Slab       = "slab" // kernel bytes per idle socket
	Wire       = "wire" // packets on the wire per datagram

	Switches = "switches"  // context switches of the peer's processes per 1000 datagrams
	Calls    = "calls"     // system calls per 1000 datagrams
	LoadBusy = "load_busy" // share of a processor that the neutral load used

	GCStop = "gc_stop" // ns of the longest time that the garbage collector had to wait for a thread

	Total = "total" // datagrams received in the child's whole life; in no table
)

// metric describes how to show a figure and which of two is better.
type metric struct {
	label  string
	lower  bool // less is better
	format func(float64) string
}

func (m metric) better(a, b float64) bool {
	if m.lower {
		return a < b
	}
	return a > b
}

var metrics = map[string]metric{
	Rate:       {"per second", false, Count},
	CPU:        {"CPU", true, micros},
	CPUSend:    {"CPU sender", true, micros},
	CPURecv:    {"CPU receiver", true, micros},
	Allocs:     {"allocs", true, places},
	AllocsSend: {"allocs sender", true, places},
	AllocsRecv: {"allocs receiver", true, places},
	Loss:       {"lost", true, percent},
	P50:        {"p50", true, micros},
	P99:        {"p99", true, micros},
	P999:       {"p99.9", true, micros},
	RSS:        {"resident", true, size},
	Conn:       {"resident a socket", true, size},
	Slab:       {"kernel a socket", true, size},
	Wire:       {"wire packets", false, places},
	Switches:   {"switches/1000", true, digits},
	Calls:      {"calls/1000", true, digits},
	GCStop:     {"longest stop", true, micros},
	LoadBusy:   {"load busy", true, percent},
}

// Count formats a number with three digits and its unit: 254 k, 1.34 M.
func Count(v float64) string {
	switch {
	case v >= 1e6:
		return digits(v/1e6) + " M"
	case v >= 1e3:
		return digits(v/1e3) + " k"
	}
	return digits(v)
}

// digits formats a number with about three significant digits.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.5:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.95:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func micros(v float64) string  { return digits(v/1e3) + " µs" }
func places(v float64) string  { return fmt.Sprintf("%.2f", v) }
func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

func size(v float64) string {
	if math.Abs(v) >= 1<<20 {
		return digits(v/(1<<20)) + " MiB"
	}
	return digits(v/(1<<10)) + " KiB"
}
