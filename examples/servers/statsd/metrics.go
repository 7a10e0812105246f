package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// These limit the memory that strangers can claim by inventing names, and members of sets.
const (
	maxNames = 10_000
	maxLine  = 512 // bytes
)

// A metrics holds what was measured since the last reset. Gauges stay.
type metrics struct {
	counters map[string]float64
	gauges   map[string]float64
	timers   map[string]*timer
	sets     map[string]map[string]struct{}
	members  int // of all sets

	bad, refused int // lines that are no measurement, or that would exceed maxNames
}

type timer struct{ count, sum, min, max float64 }

func newMetrics() *metrics {
	m := &metrics{gauges: make(map[string]float64)}
	m.reset()
	return m
}

func (m *metrics) reset() {
	*m = metrics{
		counters: make(map[string]float64), gauges: m.gauges,
		timers: make(map[string]*timer), sets: make(map[string]map[string]struct{}),
	}
}

// add adds the measurements of a datagram, one in each line: name:value|type, or name:value|type|@rate for a sample.
func (m *metrics) add(payload []byte) {
	for line := range strings.SplitSeq(strings.TrimRight(string(payload), "\n"), "\n") {
		if !m.addLine(line) {
			m.bad++
		}
	}
}

func (m *metrics) addLine(line string) bool {
	name, rest, _ := strings.Cut(line, ":")
	fields := strings.Split(rest, "|")
	if name == "" || len(fields) < 2 || len(line) > maxLine {
		return false
	}
	text, kind, rate := fields[0], fields[1], 1.0
	for _, field := range fields[2:] { // tags are ignored
		if sampled, ok := strings.CutPrefix(field, "@"); ok {
			if rate, ok = number(sampled); !ok || rate <= 0 || rate > 1 {
				return false
			}
		}
	}
	if kind == "s" {
		m.addMember(name, text)
		return true
	}
	value, ok := number(text)
	if !ok {
		return false
	}
	switch kind {
	case "c":
		if room(m, m.counters, name) {
			m.counters[name] += value / rate
		}
	case "g":
		if room(m, m.gauges, name) {
			if text[0] == '+' || text[0] == '-' { // a difference
				value += m.gauges[name]
			}
			m.gauges[name] = value
		}
	case "ms", "h":
		if room(m, m.timers, name) {
			t := m.timers[name]
			if t == nil {
				t = &timer{min: math.Inf(1), max: math.Inf(-1)}
				m.timers[name] = t
			}
			t.count, t.sum = t.count+1/rate, t.sum+value/rate
			t.min, t.max = min(t.min, value), max(t.max, value)
		}
	default:
		return false
	}
	return true
}

func (m *metrics) addMember(name, member string) {
	if _, ok := m.sets[name][member]; ok || !room(m, m.sets, name) {
		return
	}
	if m.members == maxNames {
		m.refused++
		return
	}
	if m.sets[name] == nil {
		m.sets[name] = make(map[string]struct{})
	}
	m.sets[name][member] = struct{}{}
	m.members++
}

// number parses a finite number.
func number(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
}

// room reports whether there is room for a name, and counts if there is none.
func room[V any](m *metrics, names map[string]V, name string) bool {
	if _, ok := names[name]; ok || len(names) < maxNames {
		return true
	}
	m.refused++
	return false
}

// print prints the metrics, sorted. Names are quoted where they could harm a terminal.
func (m *metrics) print(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(m.counters)) {
		fmt.Fprintf(w, "counter %s %g\n", printable(name), m.counters[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.gauges)) {
		fmt.Fprintf(w, "gauge %s %g\n", printable(name), m.gauges[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.timers)) {
		t := m.timers[name]
		fmt.Fprintf(w, "timer %s count %g, mean %g, min %g, max %g\n", printable(name), t.count, t.sum/t.count, t.min, t.max)
	}
	for _, name := range slices.Sorted(maps.Keys(m.sets)) {
		fmt.Fprintf(w, "set %s %d\n", printable(name), len(m.sets[name]))
	}
	if m.bad > 0 || m.refused > 0 {
		fmt.Fprintf(w, "ignored: %d bad lines, %d beyond %d names\n", m.bad, m.refused, maxNames)
	}
}

func printable(name string) string {
	if quoted := strconv.Quote(name); len(quoted) != len(name)+2 || strings.Contains(name, " ") {
		return quoted
	}
	return name
}
