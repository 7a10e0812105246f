// Package report turns the figures of a run into tables, targets, JSON and a chart.
package report

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// Series of workloads, each of which has tables of its own.
const (
	Grid  = "grid"  // sizes of datagrams and numbers of destinations
	Flows = "flows" // growing numbers of destinations
	Conns = "conns" // growing numbers of sockets
)

// Baseline is the peer to which ratios relate.
const Baseline = "net"

// Run holds all results of one run of the bench.
type Run struct {
	Machine   Machine    `json:"machine"`
	Started   time.Time  `json:"started"`
	Settings  Settings   `json:"settings"`
	Workloads []Workload `json:"workloads"`
	Targets   []Outcome  `json:"targets"` // filled by Judge
}

// Machine describes the machine that produced the figures.
type Machine struct {
	Kernel   string            `json:"kernel"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Go       string            `json:"go"`
	Compiler string            `json:"cc,omitempty"`
	Libuv    string            `json:"libuv,omitempty"`
	Modules  map[string]string `json:"modules"`
}

// Settings are the options of the run, and what the system granted.
type Settings struct {
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration_ns"`
	Buffer   int           `json:"socket_buffer"` // receive buffer granted, as the kernel reports it
	Load     string        `json:"load"`          // load average when the run began

	Uncounted string `json:"uncounted,omitempty"` // why system calls were not counted
}

// Workload is one table.
type Workload struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Metrics []string `json:"metrics"` // the columns; the first is the main one
	Series  string   `json:"series,omitempty"`
	N       int      `json:"n,omitempty"`    // place in the series
	Size    int      `json:"size,omitempty"` // payload bytes
	Peers   []Peer   `json:"peers"`
}

// Peer is one line of a table.
type Peer struct {
	Name    string          `json:"name"`
	Family  string          `json:"family,omitempty"` // the best of a family counts
	About   string          `json:"about"`
	Skipped string          `json:"skipped,omitempty"` // why it was not run
	Failed  string          `json:"failed,omitempty"`  // error of the last round that failed
	Rounds  []Figures       `json:"rounds,omitempty"`  // null for a round that failed
	Counted Figures         `json:"counted,omitempty"` // from the round that counted system calls
	Summary map[string]Stat `json:"summary,omitempty"` // filled by Summarize
}

// measured reports whether at least one round succeeded.
func (p *Peer) measured() bool {
	return slices.ContainsFunc(p.Rounds, func(f Figures) bool { return f != nil })
}

// Figures are the measurements of one child, or pair of children, in one round.
type Figures map[string]float64

// Workload returns the workload with that name, or nil.
func (r *Run) Workload(name string) *Workload {
	for i := range r.Workloads {
		if r.Workloads[i].Name == name {
			return &r.Workloads[i]
		}
	}
	return nil
}

// Peer returns the peer with that name if it was measured, or nil.
func (w *Workload) Peer(name string) *Peer {
	if w == nil {
		return nil
	}
	for i := range w.Peers {
		if p := &w.Peers[i]; p.Name == name && p.measured() {
			return p
		}
	}
	return nil
}

// Best returns the peer of a family with the best median of the main metric, or nil.
func (w *Workload) Best(family string) *Peer {
	if w == nil {
		return nil
	}
	var best *Peer
	m := w.Metrics[0]
	for i := range w.Peers {
		p := &w.Peers[i]
		if p.Family != family || !p.measured() {
			continue
		}
		if best == nil || metrics[m].better(p.Median(m), best.Median(m)) {
			best = p
		}
	}
	return best
}

// find returns the best of a family, or the peer with that name, or nil.
func (w *Workload) find(name string) *Peer {
	if best := w.Best(name); best != nil {
		return best
	}
	return w.Peer(name)
}

// Save writes the run as JSON.
func (r *Run) Save(name string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// Load reads a run written by Save.
func Load(name string) (*Run, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(Run)
	return r, json.Unmarshal(b, r)
}
