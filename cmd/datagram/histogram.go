package main

import (
	"fmt"
	"math/bits"
	"time"
)

// subBits gives every power of two 32 buckets, so that a percentile is at most 3 % too large.
const subBits = 5

// A histogram counts durations in log-linear buckets.
type histogram struct {
	counts           [(64 - subBits) << subBits]uint64
	n                uint64
	lowest, greatest time.Duration
}

func (h *histogram) record(d time.Duration) {
	d = max(d, 1)
	if h.n == 0 || d < h.lowest {
		h.lowest = d
	}
	h.greatest = max(h.greatest, d)
	h.n++
	h.counts[bucket(uint64(d))]++
}

// quantile returns what a share q of all durations do not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && float64(seen) >= q*float64(h.n) {
			return min(time.Duration(bucketEnd(i)), h.greatest)
		}
	}
	return 0
}

// bucket returns the index of a value's bucket: values below 2^(subBits+1) have one each, and every
// later power of two is cut into 2^subBits.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// bucketEnd returns the largest value of a bucket.
func bucketEnd(i int) uint64 {
	shift := max(i>>subBits-1, 0)
	return uint64(i-shift<<subBits+1)<<shift - 1
}

// roundTrips are the percentiles of round trip times.
type roundTrips struct {
	Min    time.Duration `json:"min_ns"`
	Median time.Duration `json:"median_ns"`
	P90    time.Duration `json:"p90_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
}

func (h *histogram) roundTrips() roundTrips {
	return roundTrips{h.lowest, h.quantile(0.5), h.quantile(0.9), h.quantile(0.99), h.greatest}
}

func (r roundTrips) String() string {
	return fmt.Sprintf("min %s, median %s, p90 %s, p99 %s, max %s", brief(r.Min), brief(r.Median), brief(r.P90), brief(r.P99), brief(r.Max))
}

// columns returns the times for a terminal, where their places do not change.
func (r roundTrips) columns() string {
	if r.Max == 0 {
		return "none yet"
	}
	return fmt.Sprintf("min %-9s median %-9s p99 %-9s max %s", brief(r.Min), brief(r.Median), brief(r.P99), brief(r.Max))
}
