package prometheus

import (
	"fmt"
	"maps"
	"sync"
	"unicode/utf8"

	client "github.com/prometheus/client_golang/prometheus"
)

// A family exports the counters S of its members, which are all of one kind, and have names.
type family[S any] struct {
	kind    string // also the label with the name
	metrics []metric[S]
	descs   []*client.Desc // of the metrics

	mu      sync.Mutex
	members map[string]member[S]
}

type member[S any] interface{ Stats() S }

func newFamily[S any](kind string, metrics []metric[S]) *family[S] {
	f := &family[S]{kind: kind, metrics: metrics, members: make(map[string]member[S])}
	for _, m := range metrics {
		labels := []string{kind}
		if m.reason != "" {
			labels = append(labels, "reason")
		}
		f.descs = append(f.descs, client.NewDesc("datagram_"+m.name, m.help, labels, nil))
	}
	return f
}

func (f *family[S]) add(name string, m member[S]) error {
	switch {
	case name == "":
		return fmt.Errorf("prometheus: a %s needs a name", f.kind)
	case !utf8.ValidString(name): // no label value; collecting would fail for all
		return fmt.Errorf("prometheus: the name of the %s %q is not UTF-8", f.kind, name)
	case m == nil:
		return fmt.Errorf("prometheus: nil %s %q", f.kind, name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.members[name]; ok {
		return fmt.Errorf("prometheus: there is a %s %q already", f.kind, name)
	}
	f.members[name] = m
	return nil
}

func (f *family[S]) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.members, name)
}

func (f *family[S]) describe(ch chan<- *client.Desc) {
	for _, desc := range f.descs {
		ch <- desc
	}
}

func (f *family[S]) collect(ch chan<- client.Metric) {
	f.mu.Lock()
	members := maps.Clone(f.members)
	f.mu.Unlock()
	for name, member := range members {
		stats := member.Stats()
		for i, m := range f.metrics {
			labels := []string{name}
			if m.reason != "" {
				labels = append(labels, m.reason)
			}
			ch <- client.MustNewConstMetric(f.descs[i], m.kind, float64(m.value(&stats)), labels...)
		}
	}
}
