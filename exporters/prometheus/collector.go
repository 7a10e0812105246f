// Package prometheus exports the counters of datagram handles and of session
// listeners to Prometheus.
//
// A [Collector] collects any number of both, each under a name of its own:
//
//	collector := prometheus.NewCollector()
//	client.MustRegister(collector) // package github.com/prometheus/client_golang/prometheus
//	if err := collector.Add("dns", conn); err != nil {
//		return err
//	}
//	defer collector.Remove("dns")
//
// The dashboard in dashboard.json shows them in Grafana.
package prometheus

import (
	client "github.com/prometheus/client_golang/prometheus"

	"example.com/datagram"
	"example.com/datagram/session"
)

// A Source has counters to export. A [*datagram.Conn] is one, and so is a
// [*datagram.Group].
type Source interface{ Stats() datagram.Stats }

// A Listener has counters of sessions to export. A [*session.Listener] is one.
type Listener interface{ Stats() session.Stats }

// A Collector exports the counters of its sources and listeners, as a collector
// of package github.com/prometheus/client_golang/prometheus. Each metric of a
// source has the label "handle", each metric of a listener the label
// "listener": its name. Methods may be called from many goroutines at once.
type Collector struct {
	sources   *family[datagram.Stats]
	listeners *family[session.Stats]
}

var _ client.Collector = (*Collector)(nil)

// NewCollector returns a collector of nothing yet.
func NewCollector() *Collector {
	return &Collector{
		sources:   newFamily("handle", handleMetrics),
		listeners: newFamily("listener", sessionMetrics),
	}
}

// Add adds a source under a name, which must be UTF-8, and not empty or the name
// of another source. The collector keeps the source alive, and exports the last
// counters of a closed one, until Remove.
func (c *Collector) Add(name string, source Source) error { return c.sources.add(name, source) }

// Remove removes the source with a name, if there is one.
func (c *Collector) Remove(name string) { c.sources.remove(name) }

// AddListener adds a listener under a name, which must be UTF-8, and not empty
// or the name of another listener. The collector keeps the listener alive, and
// exports the last counters of a closed one, until RemoveListener. The handles
// of the listener have counters of their own: see Add.
func (c *Collector) AddListener(name string, listener Listener) error {
	return c.listeners.add(name, listener)
}

// RemoveListener removes the listener with a name, if there is one.
func (c *Collector) RemoveListener(name string) { c.listeners.remove(name) }

// Describe implements the client's Collector.
func (c *Collector) Describe(ch chan<- *client.Desc) {
	c.sources.describe(ch)
	c.listeners.describe(ch)
}

// Collect implements the client's Collector. All metrics of a source are from
// one snapshot, so they add up as those of [datagram.Stats] do, and those of a
// listener as those of [session.Stats].
func (c *Collector) Collect(ch chan<- client.Metric) {
	c.sources.collect(ch)
	c.listeners.collect(ch)
}
