package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a run whose second round was on a machine of half the speed.
func sample() *Run {
	rates := func(a, b float64) []Figures { return []Figures{{Rate: a, CPU: 1e9 / a}, {Rate: b, CPU: 1e9 / b}, nil} }
	peers := []Peer{
		{Name: Baseline, Rounds: rates(200_000, 100_000)},
		{Name: "datagram", Rounds: rates(2_000_000, 1_000_000)},
		{Name: "libuv-send", Family: "libuv", Rounds: rates(210_000, 105_000)},
		{Name: "libuv-try", Family: "libuv", Rounds: rates(250_000, 125_000)},
		{Name: "raw-gso", Rounds: rates(2_500_000, 1_250_000)},
		{Name: "gnet", Skipped: "a reason"},
		{Name: "x/net", Rounds: []Figures{nil}, Failed: "round 1 failed"},
	}
	return &Run{
		Machine:   Machine{CPU: "a <CPU>", Cores: 2, Kernel: "6.18", Go: "go1.26"},
		Workloads: []Workload{{Name: "flow1200", Title: "one flow", Metrics: []string{Rate, CPU}, Peers: peers}},
	}
}

func TestRatiosArePaired(t *testing.T) {
	r := sample()
	r.Summarize()
	s := r.Workload("flow1200").Peer("datagram").Summary[Rate]
	if s.Ratio != 10 || s.Min != 1_000_000 || s.Max != 2_000_000 || s.Median != 1_500_000 {
		t.Errorf("summary %+v", s)
	}
	if p := r.Workload("flow1200").Peer("x/net"); p != nil {
		t.Errorf("a peer that failed counts as measured: %+v", p)
	}
}

func TestJudge(t *testing.T) {
	r := sample()
	r.Judge()
	want := map[string]string{
		"1200 B, one flow, against net.UDPConn":   "met", // 10 of 8 and 15
		"1200 B, one flow, against libuv":         "met", // against the better variant
		"1200 B, one flow, against raw C GSO+GRO": "met", // 0.8 of 0.8
		"64 B, one flow, against net.UDPConn":     "not measured",
	}
	for _, o := range r.Targets {
		if w, ok := want[o.What]; ok && o.Verdict != w {
			t.Errorf("%s: %s (%v), want %s", o.What, o.Verdict, o.Value, w)
		}
	}
	if best := r.Workload("flow1200").Best("libuv"); best.Name != "libuv-try" {
		t.Errorf("the best libuv is %s", best.Name)
	}
}

func TestTables(t *testing.T) {
	r := sample()
	r.Summarize()
	r.Judge()
	var b strings.Builder
	r.Header(&b)
	r.Workloads[0].Table(&b)
	r.TargetTable(&b)
	for _, s := range []string{"a <CPU>", "1.50 M", "10.00", "gnet: a reason", "x/net: round 1 failed", "≥ 8"} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("no %q in\n%s", s, &b)
		}
	}
}

func TestChartIsWellFormed(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "chart")
	if err := sample().Chart(prefix); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"-light.svg", "-dark.svg"} {
		f, err := os.Open(prefix + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		d := xml.NewDecoder(f)
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestRunSurvivesJSON(t *testing.T) {
	r := sample()
	r.Summarize()
	r.Judge()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	if err := r.Save(first); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.Save(second); err != nil {
		t.Fatal(err)
	}
	a, errA := os.ReadFile(first)
	b, errB := os.ReadFile(second)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("a run changed by saving and loading it: %v, %v\n%s\n%s", errA, errB, a, b)
	}
}

func TestFormats(t *testing.T) {
	for v, want := range map[float64]string{12: "12.0", 254_321: "254 k", 9_996: "10.0 k", 3_141_592: "3.14 M"} {
		if got := Count(v); got != want {
			t.Errorf("Count(%v) = %q, want %q", v, got, want)
		}
	}
}
