// Package report turns the figures of a run into tables, targets, JSON and a chart.
package report

import (
	"encoding/json"
	"os"
	"slices"
	"time"
)

// Baseline is the peer that ratios are against.
const Baseline = "net"

// Run is everything that one run of the bench found out.
type Run struct {
	Machine   Machine    `json:"machine"`
	Started   time.Time  `json:"started"`
	Settings  Settings   `json:"settings"`
	Workloads []Workload `json:"workloads"`
	Targets   []Outcome  `json:"targets"` // filled by Judge
}

// Machine says where the figures come from.
type Machine struct {
	Kernel   string            `json:"kernel"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Go       string            `json:"go"`
	Compiler string            `json:"cc,omitempty"`
	Libuv    string            `json:"libuv,omitempty"`
	Modules  map[string]string `json:"modules"`
}

// Settings are what the command line asked for, and what came of it.
type Settings struct {
	Rounds   int           `json:"rounds"`
	Duration time.Duration `json:"duration_ns"`
	Buffer   int           `json:"socket_buffer"` // receive buffer granted, as the kernel reports it
	Load     string        `json:"load"`          // load average when the run began
}

// Workload is one table.
type Workload struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Metrics []string `json:"metrics"` // the columns; the first is the main one
	Series  string   `json:"series,omitempty"`
	N       int      `json:"n,omitempty"` // place in the series
	Peers   []Peer   `json:"peers"`
}

// Peer is one line of a table.
type Peer struct {
	Name    string          `json:"name"`
	Family  string          `json:"family,omitempty"` // of these the best counts
	About   string          `json:"about"`
	Skipped string          `json:"skipped,omitempty"` // why it was not run
	Failed  string          `json:"failed,omitempty"`  // what went wrong in the last round that failed
	Rounds  []Figures       `json:"rounds,omitempty"`  // null for a round that failed
	Summary map[string]Stat `json:"summary,omitempty"` // filled by Summarize
}

// measured reports whether at least one round succeeded.
func (p *Peer) measured() bool {
	return slices.ContainsFunc(p.Rounds, func(f Figures) bool { return f != nil })
}

// Figures are what one child, or pair of children, measured in one round.
type Figures map[string]float64

// Workload returns the workload of that name, or nil.
func (r *Run) Workload(name string) *Workload {
	for i := range r.Workloads {
		if r.Workloads[i].Name == name {
			return &r.Workloads[i]
		}
	}
	return nil
}

// Peer returns the peer of that name if it was measured, else nil.
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

// Save writes the run as JSON.
func (r *Run) Save(name string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// Load reads what Save wrote.
func Load(name string) (*Run, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := new(Run)
	return r, json.Unmarshal(b, r)
}
