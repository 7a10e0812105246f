package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/datagram/internal/testing/program"
	"example.com/datagram/internal/testing/testenv"
)

// measure runs bench for longer and longer, until even this machine has done something.
func measure(t *testing.T, args ...string) benchResult {
	t.Helper()
	for d := 100 * time.Millisecond; ; d *= 2 {
		args := append([]string{"bench", "-o", "json", "--every", "0", "--duration", d.String()}, args...)
		out, code := program.Run(t, "", tool(t), args...)
		if code == 0 {
			return decode[benchResult](t, "summary", last(out))
		}
		if code != codeShortfall || d > 10*time.Second {
			t.Fatalf("%q: exit code %d\n%s", args, code, out)
		}
	}
}

func TestBenchEcho(t *testing.T) {
	t.Parallel()
	_, echo := serve(t, "echo", "--every", "0", "127.0.0.1:0")
	for _, args := range []string{"", "--in-flight 1 --size 24", "--in-flight 1000", "--rate 1000", "--rate 1e5 --size 24", "--size 65507"} {
		t.Run(args, func(t *testing.T) {
			r := measure(t, append([]string{echo}, strings.Fields(args)...)...)
			if r.Sent == 0 || r.Sent != r.Arrived+r.Lost || r.Rate <= 0 || r.BitRate <= 0 || r.RoundTrips == nil || r.CPUEach <= 0 || r.SentPer < 1 || r.CamePer < 1 {
				t.Errorf("%+v", r)
			}
		})
	}
	if out := expect(t, 0, "bench", "--duration", "1s", "--every", "10ms", echo); !strings.Contains(out, "s: sent ") || !strings.Contains(out, "round trips: min") {
		t.Error(out)
	}
}

func TestBenchSink(t *testing.T) {
	t.Parallel()
	_, sink := serve(t, "sink", "--every", "0", "127.0.0.1:0")
	for _, args := range []string{"--rate=2000", "--rate=0"} {
		r := measure(t, "--sink", "--timeout", "10s", args, sink)
		if r.Sent == 0 || r.Arrived == 0 || r.Sent != r.Arrived+r.Lost || r.RoundTrips != nil {
			t.Errorf("%+v", r)
		}
	}
}

func TestBenchNobody(t *testing.T) {
	t.Parallel()
	conn := loopback(t)
	for _, flag := range []string{"--sink", "--rate=1000", "--in-flight=3"} {
		out := expect(t, codeShortfall, "bench", "-o", "json", "--every", "0", flag, "--duration", "10ms", "--timeout", "10ms", conn.LocalAddr().String())
		result, message, _ := strings.Cut(out, "\n")
		if message != "datagram bench: no answer from "+conn.LocalAddr().String()+"\n" {
			t.Error(out)
		}
		if r := decode[benchResult](t, "summary", result); r.Lost != r.Sent || r.Arrived != 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestBenchLocal(t *testing.T) {
	testenv.AllOffloads(t)
	for d := 500 * time.Millisecond; !localIsMeasured(t, d); d *= 2 { // until even this machine has done something
		if d > time.Minute {
			t.Fatal("a way moved no datagram")
		}
	}
	if out := expect(t, 0, "bench", "local", "--duration", "100ms"); !strings.Contains(out, "What saves CPU time") {
		t.Error(out)
	}
}

// localIsMeasured runs bench local, checks its output, and reports whether each way moved datagrams.
func localIsMeasured(t *testing.T, d time.Duration) bool {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(expect(t, 0, "bench", "local", "-o", "json", "--duration", d.String())), "\n")
	if len(lines) != 2+len(trials) {
		t.Fatal(lines)
	}
	decode[machine](t, "machine", lines[0])
	for i, trial := range trials {
		c := decode[comparison](t, "comparison", lines[1+i])
		if c.Name != trial.name || len(c.Results) != len(trial.ways) {
			t.Fatalf("%+v", c)
		}
		if slices.ContainsFunc(c.Results, func(r figures) bool { return r.Rate <= 0 || r.CPUEach <= 0 }) {
			return false
		}
	}
	o := decode[offloads](t, "offloads", lines[len(lines)-1])
	return o.Batch.Gain > 0 && o.GSO.Gain > 0 && o.GRO.Gain > 0
}
