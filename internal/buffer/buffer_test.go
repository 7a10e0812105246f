package buffer

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// lend returns a chunk with parts lent, and their leases. The chunk goes back to pool.
func lend(pool *sync.Pool, parts int) (*Chunk, []Lease) {
	c := &Chunk{Bytes: make([]byte, 512), pool: pool}
	c.Lend(parts)
	return c, leases(c, parts)
}

func leases(c *Chunk, parts int) []Lease {
	l := make([]Lease, parts)
	for i := range l {
		l[i] = c.Lease(i)
	}
	return l
}

// outstanding says whether a chunk still belongs to leases.
func (c *Chunk) outstanding() bool { return c.lent.Load() != 0 }

func TestGet(t *testing.T) {
	for _, test := range []struct{ n, want int }{
		{0, 128},
		{1, 128},
		{128, 128},
		{129, 512},
		{512, 512},
		{513, 2 << 10},
		{2 << 10, 2 << 10},
		{8<<10 + 1, 24 << 10},
		{Size, Size},
		{Size + 1, 4 * Size},
		{1 << 20, 1 << 20},
	} {
		n, c := test.n, Get(test.n)
		if len(c.Bytes) != test.want {
			t.Errorf("asked for %d bytes, got %d, want %d", n, len(c.Bytes), test.want)
		}
		c.Bytes[max(n-1, 0)] = 1
		c.Free()
	}
}

// TestRelease releases in any order, each lease twice and by copies.
func TestRelease(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, parts := range []int{1, 2, 31, 32, 33, 64, 100, 127, 128} {
		t.Run(fmt.Sprint(parts), func(t *testing.T) {
			c, held := lend(new(sync.Pool), parts)
			random.Shuffle(parts, func(i, j int) { held[i], held[j] = held[j], held[i] })
			for i, lease := range held {
				if !c.outstanding() {
					t.Fatalf("given back after %d of %d releases", i, parts)
				}
				duplicate := lease
				lease.Release(nil)
				duplicate.Release(nil)
				held[random.IntN(i+1)].Release(nil)
			}
			if c.outstanding() {
				t.Fatal("not given back")
			}
		})
	}
}

// A lease of an earlier generation does nothing.
func TestStaleLease(t *testing.T) {
	c, stale := lend(new(sync.Pool), 40)
	for _, lease := range stale {
		lease.Release(nil)
	}
	for range 100 {
		c.Lend(40)
		for _, lease := range stale {
			lease.Release(nil)
		}
		if !c.outstanding() {
			t.Fatal("stale leases gave the chunk back")
		}
		current := leases(c, 40)
		for _, lease := range current {
			lease.Release(nil)
		}
		if c.outstanding() {
			t.Fatal("not given back")
		}
		stale = append(stale, current...)
	}
}

// A chunk with more parts than can be accounted for is left to the collector,
// and never given back while someone may read it.
func TestManyParts(t *testing.T) {
	var pool sync.Pool
	for _, parts := range []int{129, 1000, Size} {
		c, held := lend(&pool, parts)
		for _, lease := range held {
			lease.Release(nil)
		}
		if pool.Get() != nil {
			t.Fatalf("a chunk of %d parts was given back", parts)
		}
		// Lent again it is like any other.
		c.Lend(2)
		for _, lease := range held {
			lease.Release(nil)
		}
		if !c.outstanding() {
			t.Fatal("leases of many parts gave the chunk back")
		}
	}
	// Nor do leases from before count for a chunk that has many parts now.
	c, held := lend(new(sync.Pool), 3)
	for _, lease := range held {
		lease.Release(nil)
	}
	c.pool = &pool
	c.Lend(1000)
	for _, lease := range held {
		lease.Release(nil)
	}
	if pool.Get() != nil {
		t.Fatal("stale leases gave a chunk of many parts back")
	}
}

func TestZeroLease(t *testing.T) {
	var lease Lease
	lease.Release(nil)
	lease.Release(nil)
}

// TestConcurrentRelease lends a chunk for many generations, while everybody who ever had
// a lease releases it over and over.
func TestConcurrentRelease(t *testing.T) {
	const generations, parts, readers = 300, 70, 4
	c := &Chunk{Bytes: make([]byte, 512), pool: new(sync.Pool)}
	var old atomic.Pointer[[]Lease]
	old.Store(new([]Lease))
	for generation := range generations {
		c.Lend(parts)
		held := leases(c, parts)
		var wg sync.WaitGroup
		var released atomic.Int32
		for reader := range readers {
			wg.Go(func() {
				mine := slices.Clone(held)
				random := rand.New(rand.NewPCG(uint64(generation), uint64(reader)))
				random.Shuffle(parts, func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
				for _, lease := range mine[1:] {
					lease.Release(nil)
				}
				for _, lease := range *old.Load() {
					lease.Release(nil)
				}
				released.Add(1)
				mine[0].Release(nil)
			})
		}
		wg.Wait()
		if c.outstanding() {
			t.Fatalf("generation %d not given back", generation)
		}
		old.Store(&held)
	}
}

// TestConcurrentReleaseOfNeighbours releases parts whose bits share a word, each once.
func TestConcurrentReleaseOfNeighbours(t *testing.T) {
	c := &Chunk{Bytes: make([]byte, 512), pool: new(sync.Pool)}
	for generation := range 50_000 {
		c.Lend(partsPerWord)
		var waiting atomic.Int32
		var wg sync.WaitGroup
		for first := range 2 {
			wg.Go(func() {
				for waiting.Add(1); waiting.Load() < 2; {
					runtime.Gosched()
				}
				for part := first; part < partsPerWord; part += 2 {
					c.Lease(part).Release(nil)
				}
			})
		}
		wg.Wait()
		if c.outstanding() {
			t.Fatalf("generation %d not given back", generation)
		}
	}
}

// TestReuse is the life of chunks: filled, lent, read by others and released,
// also twice. Nobody's bytes change before the release.
func TestReuse(t *testing.T) {
	type letter struct {
		payload []byte
		lease   Lease
		stamp   byte
	}
	letters := make(chan letter, 64)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for l := range letters {
				for _, b := range l.payload {
					if b != l.stamp {
						t.Errorf("%d where %d was written", b, l.stamp)
						break
					}
				}
				l.lease.Release(nil)
				l.lease.Release(nil)
			}
		})
	}
	for round := range 5000 {
		parts := 1 + round%5
		c := Get(500)
		for i := range c.Bytes {
			c.Bytes[i] = byte(round)
		}
		c.Lend(parts)
		// All leases are taken before the first can be released.
		held := leases(c, parts)
		for i, lease := range held {
			letters <- letter{c.Bytes[i*100 : (i+1)*100], lease, byte(round)}
		}
	}
	close(letters)
	wg.Wait()
}

// Released memory is poisoned, unless it is not the chunk's.
func TestPoison(t *testing.T) {
	c := &Chunk{Bytes: []byte("released or not")}
	own := []byte("own")
	c.poison(c.Bytes[:8])
	if string(c.Bytes) != strings.Repeat("\xdb", 8)+" or not" {
		t.Errorf("released memory: %q", c.Bytes)
	}
	c.poison(own)
	if c.poison(nil); string(own) != "own" {
		t.Error("poisoned what is not the chunk's")
	}
}

// A poisoned chunk is not used again: another goroutine may still be overwriting its part of it
// when the last part, an empty datagram perhaps, is released.
func TestPoisonedIsNotReused(t *testing.T) {
	if !poisons {
		t.Skip("memory is poisoned under the race detector only")
	}
	var pool sync.Pool
	for range 100 { // the race detector makes a pool lose some of what it is given
		c, held := lend(&pool, 2)
		held[0].Release(c.Bytes[:8])
		held[1].Release(nil)
		if pool.Get() != nil {
			t.Fatal("a poisoned chunk was given back")
		}
	}
}
