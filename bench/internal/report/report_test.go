package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sample is a run whose second round ran on a machine at half the speed.
func sample() *Run {
	rates := func(a, b float64) []Figures { return []Figures{{Rate: a, CPU: 1e9 / a}, {Rate: b, CPU: 1e9 / b}, nil} }
	peers := []Peer{
		{Name: Baseline, Rounds: rates(200_000, 100_000), Counted: Figures{Calls: 42}},
		{Name: "datagram", Family: Ours, Rounds: rates(2_000_000, 1_000_000)},
		{Name: "raw-gso", Rounds: rates(2_500_000, 1_250_000)},
		{Name: "wireguard", Rounds: rates(2_500_000, 1_250_000)},
		{Name: "libuv-send", Family: "libuv", Rounds: rates(210_000, 105_000)},
		{Name: "libuv-try", Family: "libuv", Rounds: rates(250_000, 125_000)},
		{Name: "gnet", Skipped: "a reason"},
		{Name: "x/net", Rounds: []Figures{nil}, Failed: "round 1 failed"},
	}
	return &Run{
		Machine:   Machine{CPU: "a <CPU>", Cores: 2, Kernel: "6.18", Go: "go1.26"},
		Workloads: []Workload{{Name: "flow1200", Title: "one flow", Metrics: []string{Rate, CPU, Calls}, Series: Grid, N: 1, Size: 1200, Peers: peers}},
	}
}

func TestRatiosArePaired(t *testing.T) {
	r := sample()
	r.Summarize()
	s := r.Workload("flow1200").Peer("datagram").Summary[Rate]
	if s.Ratio != 10 || s.RatioMin != 10 || s.RatioMax != 10 || s.Min != 1_000_000 || s.Max != 2_000_000 || s.Median != 1_500_000 {
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
		"1200 B, one flow, Recv, against net.UDPConn":           "met, 25 % to spare", // 10 of 8 and 15
		"1200 B, one flow, Recv, against libuv":                 "met, 0 % to spare",  // 8 of 8, against the better variant
		"1200 B, one flow, best of ours, against raw C GSO+GRO": "stretch, 33 % to spare",
		"1200 B, one flow, Recv, against wireguard-go":          "missed by 11 %", // 0.8 of 0.9
		"64 B, one flow, Recv, against net.UDPConn":             "not measured",
	}
	found := 0
	for _, o := range r.Targets {
		w, ok := want[o.What]
		if !ok {
			continue
		}
		found++
		if o.margin() != w {
			t.Errorf("%s: %s (%v), want %s", o.What, o.margin(), o.Value, w)
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d targets are there", found, len(want))
	}
	if best := r.Workload("flow1200").Best("libuv"); best.Name != "libuv-try" {
		t.Errorf("the best libuv is %s", best.Name)
	}
}

func TestMargin(t *testing.T) {
	for _, test := range []struct {
		o    Outcome
		want string
	}{
		{Outcome{Target: 2, Value: 3, Verdict: "stretch"}, "stretch, 50 % to spare"},
		{Outcome{Target: 2, Value: 1.5, Verdict: "missed"}, "missed by 25 %"},
		{Outcome{Target: 2, Value: 1.5, AtMost: true, Verdict: "met"}, "met, 25 % to spare"},
		{Outcome{Target: 2, Value: 3, AtMost: true, Verdict: "missed"}, "missed by 50 %"},
		{Outcome{Target: 2, Verdict: "not measured"}, "not measured"},
	} {
		if got := test.o.margin(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.o, got, test.want)
		}
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
	r.GridTable(&b)
	for _, s := range []string{"a <CPU>", "42.0", "1200             1           wireguard", "1.50 M", "10.00", "gnet: a reason", "x/net: round 1 failed", "≥ 8"} {
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

// The figures beside the bars must follow from the bars, also where less is better.
func TestChartFigures(t *testing.T) {
	r := sample()
	cpu := func(v float64) []Figures { return []Figures{{CPU: v}} }
	r.Workloads = append(r.Workloads, Workload{Name: "echohalf", Metrics: []string{CPU}, Peers: []Peer{
		{Name: Baseline, Rounds: cpu(8000)},
		{Name: "libuv-send", Rounds: cpu(4000)},
		{Name: "libuv-try", Rounds: cpu(2400)},
		{Name: "datagram", Rounds: cpu(6000)},
	}})
	var b strings.Builder
	r.draw(&b, light)
	for _, s := range []string{
		">1.50 M<", ">10.0×<", // datagram
		">188 k<", ">1.25×<", // the better libuv
		">6.00 µs<", ">0.75×<", ">2.40 µs<", ">0.30×<", // CPU
		"datagram, Recv 1.50 M", // in words
		">not measured<",
	} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("no %q in\n%s", s, &b)
		}
	}
}

// The contrast ratios that WCAG 2.2 asks for: 4.5 for text (1.4.3), 3 for graphics (1.4.11).
func TestContrast(t *testing.T) {
	for _, th := range []theme{light, dark} {
		for _, c := range []struct {
			what, colour string
			least        float64
		}{
			{"text", th.text, 4.5}, {"faint text", th.faint, 4.5}, {"bar", th.bar, 3}, {"own bar", th.own, 3},
		} {
			if got := contrast(t, c.colour, th.back); got < c.least {
				t.Errorf("%s, %s: contrast %.1f, want %v", th.name, c.what, got, c.least)
			}
		}
	}
}

// contrast is the contrast ratio of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	luminance := func(colour string) float64 {
		var rgb [3]float64
		for i := range rgb {
			v, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			rgb[i] = math.Pow((float64(v)/255+0.055)/1.055, 2.4) // close enough also for the darkest
		}
		return 0.2126*rgb[0] + 0.7152*rgb[1] + 0.0722*rgb[2]
	}
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
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
