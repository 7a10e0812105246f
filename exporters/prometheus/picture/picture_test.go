package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/datagram"
	"example.com/datagram/exporters/prometheus"
	"example.com/datagram/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	perStep = 10 // what every counter grows by
	seconds = 20
)

// A growing source or listener has counters that are all the same.
type growing[S any] struct{ counters uint64 }

func (g *growing[S]) Stats() (s S) {
	for _, field := range reflect.ValueOf(&s).Elem().Fields() {
		field.SetUint(g.counters)
	}
	return s
}

// recorded returns the dashboard, and a view of two handles and a listener that grow.
func recorded(t *testing.T) (*dashboard, *view) {
	t.Helper()
	d, err := readDashboard("../dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var handle growing[datagram.Stats]
	var listener growing[session.Stats]
	collector := prometheus.NewCollector()
	if err := errors.Join(collector.Add("a", &handle), collector.Add("b", &handle), collector.AddListener("l", &listener)); err != nil {
		t.Fatal(err)
	}
	data := newRecorder(collector)
	begin := time.Unix(1e9, 0)
	for second := range seconds + rateSteps + 1 {
		if err := data.record(begin.Add(time.Duration(second) * time.Second)); err != nil {
			t.Fatal(err)
		}
		handle.counters += perStep
		listener.counters += perStep
	}
	start := begin.Add(rateSteps * time.Second)
	v, err := newView(d, data, start, start.Add(seconds*time.Second), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return d, v
}

// Every query of the dashboard is right: it has an answer for each handle or listener at each time.
func TestQueries(t *testing.T) {
	d, v := recorded(t)
	for name, want := range map[string]string{"job": "example", "handle": "a|b", "listener": "l"} {
		if got := v.variables[name]; got != want {
			t.Errorf("the variable %s is %q, want %q", name, got, want)
		}
	}
	queries := 0
	for _, p := range d.Panels {
		names := make(map[string]bool)
		for _, query := range p.Targets {
			queries++
			lines, gaps, err := linesOf(panel{Targets: []target{query}}, v)
			if err != nil || gaps {
				t.Errorf("%s: gaps %t, error %v", p.Title, gaps, err)
			}
			for _, l := range lines {
				if names[l.name] {
					t.Errorf("%s: there are two lines %s", p.Title, l.name)
				}
				names[l.name] = true
				for i, value := range l.values {
					if want := answer(query, i); math.Abs(value-want) > 1e-9 {
						t.Errorf("%s: %s is %v at %d, want %v", p.Title, l.name, value, i, want)
						break
					}
				}
			}
		}
	}
	if queries == 0 {
		t.Error("no queries")
	}
}

// answer returns the right answer to a query at a step of recorded.
func answer(query target, step int) float64 {
	switch {
	case strings.Contains(query.Expr, " / "):
		return 1 // the ratio of two rates
	case strings.Contains(query.Expr, "_total"):
		return perStep // the rate of a counter
	default:
		return float64(rateSteps+step) * perStep // a level
	}
}

func TestWrongQueries(t *testing.T) {
	_, v := recorded(t)
	for _, test := range []struct{ expr, legend, says string }{
		{"rate(datagram_sent_datagrams_total{", "", "parse error"},
		{"rate(datagram_sent[$__rate_interval])", "", "no series"},
		{"datagram_sessions{handle=~\"$handel\"}", "", "$handel"},
		{"datagram_sessions", "{{handle}}", "{{handle}}"},
	} {
		p := panel{Targets: []target{{test.expr, test.legend}}}
		if _, _, err := linesOf(p, v); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want an error with %q", test.expr, err, test.says)
		}
	}
}

// The picture of the example shows all panels, and so does the one in the documentation.
func TestPicture(t *testing.T) {
	d, err := readDashboard("../dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var v *view
	err = run(time.Minute, func(collector *prometheus.Collector) (err error) {
		v, err = watch(d, collector, 100*time.Millisecond, 10*time.Millisecond)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := draw(d, v)
	if err != nil {
		t.Fatal(err)
	}
	documented, err := os.ReadFile("../dashboard.svg")
	if err != nil {
		t.Fatal(err)
	}
	for name, svg := range map[string][]byte{"the picture": drawn, "dashboard.svg": documented} {
		shown := texts(t, svg)
		for _, p := range d.Panels {
			if !strings.Contains(shown, p.Title+"\n") {
				t.Errorf("%s does not show %q", name, p.Title)
			}
		}
	}
}

// texts returns the texts in a picture, each on a line.
func texts(t *testing.T, svg []byte) string {
	t.Helper()
	var all strings.Builder
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if err == io.EOF {
			return all.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			all.Write(text)
			all.WriteByte('\n')
		}
	}
}
