package main

import (
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// A recorder keeps what a collector exported at several times, for Prometheus' own query engine.
type recorder struct {
	registry *client.Registry
	series   map[string]*series // by labels
}

type series struct {
	storage.SeriesEntry
	samples chunkenc.Appender
}

func newSeries(set labels.Labels) (*series, error) {
	chunk := chunkenc.NewXORChunk()
	samples, err := chunk.Appender()
	return &series{storage.SeriesEntry{Lset: set, SampleIteratorFn: chunk.Iterator}, samples}, err
}

func newRecorder(collector client.Collector) *recorder {
	r := &recorder{client.NewPedanticRegistry(), make(map[string]*series)}
	r.registry.MustRegister(collector)
	return r
}

// record records the present metrics as those of a time, later than the one before.
func (r *recorder) record(at time.Time) error {
	families, err := r.registry.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		for _, m := range family.Metric {
			pairs := map[string]string{"__name__": family.GetName(), "job": "example", "instance": "localhost"}
			for _, label := range m.Label {
				pairs[label.GetName()] = label.GetValue()
			}
			set := labels.FromMap(pairs)
			s := r.series[set.String()]
			if s == nil {
				if s, err = newSeries(set); err != nil {
					return err
				}
				r.series[set.String()] = s
			}
			s.samples.Append(0, at.UnixMilli(), m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return nil
}

// Querier implements storage.Queryable.
func (r *recorder) Querier(int64, int64) (storage.Querier, error) {
	return &storage.MockQuerier{SelectMockFunction: r.selectSeries}, nil
}

func (r *recorder) selectSeries(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	found := new(seriesSet)
	for _, s := range r.series {
		if matches(s.Lset, matchers) {
			found.rest = append(found.rest, s)
		}
	}
	return found
}

func matches(set labels.Labels, matchers []*labels.Matcher) bool {
	for _, m := range matchers {
		if !m.Matches(set.Get(m.Name)) {
			return false
		}
	}
	return true
}

// A seriesSet is a storage.SeriesSet.
type seriesSet struct {
	current storage.Series
	rest    []storage.Series
}

func (s *seriesSet) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.current, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return s.current }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
