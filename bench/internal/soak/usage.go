package soak

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// usage describes the resources that the process holds.
type usage struct {
	goroutines, descriptors int
	heap                    uint64 // bytes, after garbage collection
}

// maxGrowth is how much larger the heap may be after a later round than after the first. The
// runtime and pools keep what a few seconds may need; a leak of one byte per handle or datagram
// soon exceeds it.
const maxGrowth = 4 << 20

func measure() usage {
	runtime.GC()
	runtime.GC() // pools free what survived one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{goroutines: runtime.NumGoroutine(), heap: m.HeapAlloc}
	if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.descriptors = len(entries)
	}
	return u
}

// settle waits until there are no more goroutines and descriptors than before.
func settle(before usage) (usage, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		now := measure()
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return now, nil
		}
		if time.Now().After(deadline) {
			return now, fmt.Errorf("left behind: %v; at the start there were %v", now, before)
		}
	}
}

// growth returns an error if the heap has grown since the first round.
func (u usage) growth(first usage) error {
	if u.heap > first.heap+maxGrowth {
		return fmt.Errorf("memory is not flat: %v; after the first round it was %v", u, first)
	}
	return nil
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %.1f MiB", u.goroutines, u.descriptors, float64(u.heap)/(1<<20))
}
