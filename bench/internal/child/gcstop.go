package child

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"time"
)

// stoppings is the runtime's histogram of how long the garbage collector waited until all threads
// had stopped. A system call that the runtime does not know of delays it.
const stoppings = "/sched/pauses/stopping/gc:seconds"

// Collect runs the garbage collector again and again until c stops.
func (c *Counts) Collect() {
	for !c.Stopped() {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}

// stops returns the histogram so far.
func stops() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: stoppings}}
	metrics.Read(s)
	return s[0].Value.Float64Histogram()
}

// longest returns the upper bound of the longest stop after before, or 0 if there was none.
func longest(before, after *metrics.Float64Histogram) time.Duration {
	for i, n := range slices.Backward(after.Counts) {
		if n > before.Counts[i] {
			return time.Duration(after.Buckets[i+1] * float64(time.Second))
		}
	}
	return 0
}
