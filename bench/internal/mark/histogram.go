package mark

import (
	"math/bits"
	"time"
)

// subBits gives every power of two 64 buckets, so that a reading is within 1.6 % of the true value.
const subBits = 6

// Histogram counts durations in log-linear buckets. It is not safe for concurrent use.
type Histogram struct {
	counts [(64 - subBits) << subBits]uint64
}

// Record adds one duration.
func (h *Histogram) Record(d time.Duration) { h.counts[bucket(uint64(max(d, 0)))]++ }

// Pairs returns the occupied buckets in ascending order.
func (h *Histogram) Pairs() Pairs {
	var p Pairs
	for i, n := range h.counts {
		if n > 0 {
			p = append(p, [2]uint64{upper(i), n})
		}
	}
	return p
}

func bucket(v uint64) int {
	if v < 1<<(subBits+1) {
		return int(v)
	}
	shift := bits.Len64(v) - subBits - 1
	return shift<<subBits + int(v>>shift)
}

// upper returns the largest value in bucket i.
func upper(i int) uint64 {
	if i < 1<<(subBits+1) {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return uint64(i-shift<<subBits+1)<<shift - 1
}

// Quantile returns the value that a share q of all values do not exceed, or 0 without values.
func (p Pairs) Quantile(q float64) time.Duration {
	var total, seen uint64
	for _, b := range p {
		total += b[1]
	}
	for _, b := range p {
		seen += b[1]
		if float64(seen) >= q*float64(total) {
			return time.Duration(b[0])
		}
	}
	return 0
}
