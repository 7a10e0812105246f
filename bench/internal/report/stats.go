package report

import "slices"

// Stat is what the rounds of a peer say about one metric.
type Stat struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Ratio  float64 `json:"ratio,omitempty"` // to the baseline, 0 if there is none
}

// Median returns the median of a metric over the rounds that have it.
func (p *Peer) Median(metric string) float64 { return median(p.values(metric)) }

func (p *Peer) values(metric string) []float64 {
	var vs []float64
	for _, r := range p.Rounds {
		if v, ok := r[metric]; ok {
			vs = append(vs, v)
		}
	}
	return vs
}

// Ratio is the median of the rounds' ratios: each round ran both peers side by side, so what
// changed on the machine between rounds falls out. It is 0 when there is nothing to compare.
func Ratio(p, base *Peer, metric string) float64 {
	if p == nil || base == nil {
		return 0
	}
	var vs []float64
	for i := range min(len(p.Rounds), len(base.Rounds)) {
		v, ok := p.Rounds[i][metric]
		b, okBase := base.Rounds[i][metric]
		if ok && okBase && b != 0 {
			vs = append(vs, v/b)
		}
	}
	return median(vs)
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
				if vs := p.values(m); len(vs) > 0 {
					p.Summary[m] = Stat{median(vs), slices.Min(vs), slices.Max(vs), Ratio(p, base, m)}
				}
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
