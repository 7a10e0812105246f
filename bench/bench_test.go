package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"example.com/datagram/bench/internal/report"
)

// TestMain makes the test binary serve as the children's program, as the bench binary does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		if err := childMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestEveryWorkload runs everything for a few milliseconds: each peer that takes part in a workload
// must move datagrams. How many does not matter.
func TestEveryWorkload(t *testing.T) {
	o, err := parseFlags([]string{"-quick"})
	if err != nil {
		t.Fatal(err)
	}
	var tables strings.Builder
	r, err := measureAll(context.Background(), o, &tables)
	t.Log(tables.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range r.Workloads {
		if w.Peer(report.Baseline) == nil && !strings.HasPrefix(w.Name, "veth") {
			t.Errorf("%s: the baseline was not measured", w.Name)
		}
		for _, p := range w.Peers {
			if p.Failed != "" {
				t.Errorf("%s, %s: %s", w.Name, p.Name, p.Failed)
			}
			if p.Skipped == "" && w.Metrics[0] != report.Conn && p.Median(w.Metrics[0]) <= 0 {
				t.Errorf("%s, %s: nothing measured", w.Name, p.Name)
			}
		}
	}
}

// The experiments print their tables. What is in them does not matter here.
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

// TestSoak soaks for a moment: ARGS="soak -duration 2h" does it properly.
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
