package report

import "slices"

// Stat summarizes one metric of a peer over its rounds.
type Stat struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`

	// To the baseline: the median, lowest and highest of the rounds' ratios; 0 if there are none.
	Ratio    float64 `json:"ratio,omitempty"`
	RatioMin float64 `json:"ratio_min,omitempty"`
	RatioMax float64 `json:"ratio_max,omitempty"`
}

// Median returns the median of a metric over the rounds that have it.
func (p *Peer) Median(metric string) float64 { return median(p.values(metric)) }

func (p *Peer) values(metric string) []float64 {
	var vs []float64
	for _, r := range append(slices.Clip(p.Rounds), p.Counted) {
		if v, ok := r[metric]; ok {
			vs = append(vs, v)
		}
	}
	return vs
}

// Ratio returns the median of the rounds' ratios. Each round ran both peers one after the other, so
// changes of the machine between rounds cancel out. It returns 0 if there is nothing to compare.
func Ratio(p, base *Peer, metric string) float64 { return median(ratios(p, base, metric)) }

func ratios(p, base *Peer, metric string) []float64 {
	if p == nil || base == nil {
		return nil
	}
	var vs []float64
	for i := range min(len(p.Rounds), len(base.Rounds)) {
		v, ok := p.Rounds[i][metric]
		b, okBase := base.Rounds[i][metric]
		if ok && okBase && b != 0 {
			vs = append(vs, v/b)
		}
	}
	return vs
}

// Summarize fills in every Summary.
func (r *Run) Summarize() {
	for i := range r.Workloads {
		w := &r.Workloads[i]
		base := w.Peer(Baseline)
		for j := range w.Peers {
			p := &w.Peers[j]
			p.Summary = make(map[string]Stat)
			for _, m := range w.Metrics {
				vs := p.values(m)
				if len(vs) == 0 {
					continue
				}
				s := Stat{Median: median(vs), Min: slices.Min(vs), Max: slices.Max(vs)}
				if rs := ratios(p, base, m); len(rs) > 0 {
					s.Ratio, s.RatioMin, s.RatioMax = median(rs), slices.Min(rs), slices.Max(rs)
				}
				p.Summary[m] = s
			}
		}
	}
}

func median(vs []float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	vs = slices.Sorted(slices.Values(vs))
	mid := len(vs) / 2
	if len(vs)%2 == 1 {
		return vs[mid]
	}
	return (vs[mid-1] + vs[mid]) / 2
}
