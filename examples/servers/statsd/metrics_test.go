package main

import (
	"fmt"
	"strings"
	"testing"
)

func printed(m *metrics) string {
	var b strings.Builder
	m.print(&b)
	return b.String()
}

func TestAdd(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"a:1|c\na:2|c|@0.1\n", "counter a 21\n"},
		{"a:1|c|#tag:value", "counter a 1\n"},
		{"a:5|g\na:+2|g\na:-3|g", "gauge a 4\n"},
		{"a:x|s\na:y|s\na:x|s", "set a 2\n"},
		{"a:1|h\na:3|ms|@0.5", "timer a count 3, mean 2.3333333333333335, min 1, max 3\n"},
		{"a b\x1b:1|c", "counter \"a b\\x1b\" 1\n"},
		{"", "ignored: 1 bad lines, 0 beyond 10000 names\n"},
		{"a\n:1|c\na:1\na:x|c\na:|g\na:1|q\na:1|c|@0\na:1|c|@2\na:NaN|g\na:Inf|c", "ignored: 10 bad lines, 0 beyond 10000 names\n"},
		{strings.Repeat("a", maxLine) + ":1|c", "ignored: 1 bad lines, 0 beyond 10000 names\n"},
	} {
		m := newMetrics()
		m.add([]byte(test.lines))
		if got := printed(m); got != test.want {
			t.Errorf("%.40q: %q, want %q", test.lines, got, test.want)
		}
	}
}

// Names that strangers invent take a limited amount of memory.
func TestRoomIsLimited(t *testing.T) {
	m := newMetrics()
	for i := range maxNames + 5 {
		for _, kind := range []string{"c", "g", "ms"} {
			m.add(fmt.Appendf(nil, "name%d:1|%s", i, kind))
		}
		m.add(fmt.Appendf(nil, "set:%d|s", i))
	}
	m.add([]byte("name0:1|c"))
	if len(m.counters) != maxNames || len(m.gauges) != maxNames || len(m.timers) != maxNames || len(m.sets["set"]) != maxNames {
		t.Errorf("%d counters, %d gauges, %d timers, %d members", len(m.counters), len(m.gauges), len(m.timers), len(m.sets["set"]))
	}
	if m.refused != 4*5 || m.counters["name0"] != 2 {
		t.Errorf("refused %d, name0 %v", m.refused, m.counters["name0"])
	}
}

// A reset keeps gauges alone.
func TestReset(t *testing.T) {
	m := newMetrics()
	m.add([]byte("a:1|c\nb:2|g\nc:3|ms\nd:4|s\njunk"))
	m.reset()
	if got := printed(m); got != "gauge b 2\n" {
		t.Error(got)
	}
}

func FuzzAdd(f *testing.F) {
	f.Add([]byte("a:1|c|@0.1\nb:-2|g\nc:3|ms|#tag\nd:x|s"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := newMetrics()
		m.add(payload)
		for line := range strings.Lines(printed(m)) {
			if !strings.HasSuffix(line, "\n") {
				t.Errorf("%q prints %q", payload, line)
			}
		}
	})
}
