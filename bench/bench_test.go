package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/datagram/bench/internal/library"
	"example.com/datagram/bench/internal/report"
	"example.com/datagram/internal/testing/testenv"
)

// TestMain lets the test binary serve as the program of child processes, like the bench binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := childMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if programs != "" {
		os.RemoveAll(programs)
	}
	os.Exit(code)
}

var programs string // directory of the compiled contenders

// quickBench returns a bench of everything for a few milliseconds.
var quickBench = sync.OnceValues(func() (*bench, error) {
	o, err := parseFlags([]string{"-quick"})
	if err != nil {
		return nil, err
	}
	if programs, err = os.MkdirTemp("", "datagram-bench"); err != nil {
		return nil, err
	}
	return newBench(o, programs)
})

// TestEveryWorkload runs everything for a few milliseconds. Each peer of a workload must move
// datagrams, no matter how many.
func TestEveryWorkload(t *testing.T) {
	b, err := quickBench()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range b.workloads {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			if w.args.Role == library.DNS {
				testenv.Program(t, "dnsperf")
			}
			checkWorkload(t, b, b.measure(t.Context(), w))
		})
	}
}

func checkWorkload(t *testing.T, b *bench, w report.Workload) {
	r := report.Run{Workloads: []report.Workload{w}}
	r.Summarize()
	var table strings.Builder
	w.Table(&table)
	t.Log(table.String())
	if w.Peer(report.Baseline) == nil && !strings.HasPrefix(w.Name, "veth") {
		t.Error("the baseline was not measured")
	}
	if len(w.Peers) < 2 {
		t.Errorf("%d peers take part", len(w.Peers))
	}
	counted := 0
	for _, p := range w.Peers {
		if p.Failed != "" {
			t.Errorf("%s: %s", p.Name, p.Failed)
		}
		if p.Skipped != "" {
			continue
		}
		if m := w.Metrics[0]; m != report.Conn && p.Median(m) <= 0 {
			t.Errorf("%s: no %s measured", p.Name, m)
		}
		if p.Median(report.Calls) > 0 {
			counted++
		}
	}
	if counted < min(3, len(w.Peers)) && b.report.Settings.Uncounted == "" && slices.Contains(w.Metrics, report.Calls) {
		t.Errorf("system calls of %d peers counted", counted)
	}
}

// What the chart and the table of the README show must be what -run readme measures, and must exist.
func TestReadmeRunHasWhatTheReadmeShows(t *testing.T) {
	o, err := parseFlags([]string{"-run", "readme"})
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, w := range workloads(1<<20, false) {
		known[w.name] = true
	}
	for _, name := range append(report.Charted(), "flows10", "flows10000", "pingpong") {
		if !known[name] || !o.run.MatchString(name) {
			t.Errorf("%s is not measured", name)
		}
	}
}

func TestEveryTargetHasItsPeers(t *testing.T) {
	b, err := quickBench()
	if err != nil {
		t.Fatal(err)
	}
	// A run in which everything was measured, whatever the figures.
	r := new(report.Run)
	for _, w := range workloads(1<<20, false) {
		result := report.Workload{Name: w.name, Metrics: w.metrics}
		f := make(report.Figures)
		for _, m := range w.metrics {
			f[m] = 1
		}
		for _, c := range b.list {
			if (w.only == nil || slices.Contains(w.only, c.name)) && (w.args.Role == library.DNS || c.lacks(w.args) == "") {
				result.Peers = append(result.Peers, report.Peer{Name: c.name, Family: c.family, Rounds: []report.Figures{f}})
			}
		}
		r.Workloads = append(r.Workloads, result)
	}
	r.Judge()
	for _, o := range r.Targets {
		if o.Verdict == "not measured" {
			t.Errorf("%q is never measured", o.What)
		}
	}
}

// The experiments must print their tables, whatever the figures.
func TestExperiments(t *testing.T) {
	for _, test := range []struct {
		run  func([]string, io.Writer) error
		args []string
		rows int
	}{
		{overloadMain, []string{"-duration", "100ms"}, 6},
		{stampsMain, []string{"-n", "1000"}, 3},
	} {
		var out strings.Builder
		if err := test.run(test.args, &out); err != nil {
			t.Fatal(err)
		}
		if strings.Count(out.String(), "\n") <= test.rows {
			t.Errorf("printed\n%s", &out)
		}
	}
}

// TestSoak soaks for a moment. For a real soak use ARGS="soak -duration 2h".
func TestSoak(t *testing.T) {
	var out strings.Builder
	err := soakMain([]string{"-duration", "1s"}, &out)
	t.Log(out.String())
	if err != nil {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	if _, err := parseFlags([]string{"-run", "("}); err == nil {
		t.Error("a broken regular expression was taken")
	}
	if _, err := parseFlags([]string{"stray"}); err == nil {
		t.Error("a stray argument was taken")
	}
}
