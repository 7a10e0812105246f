// Package buffer manages the memory of received datagrams.
//
// The owner of a [Chunk] fills it and then lends it, in any number of parts, to
// readers who know nothing of one another. Each part has a [Lease]. When the last
// lease is released the chunk goes back to its pool. A chunk whose leases are
// never released becomes garbage, because the pool keeps no reference to it.
package buffer

import (
	"sync"
	"sync/atomic"
)

// Size is the size of the chunks that the kernel receives into. The largest
// datagram of UDP and the largest run that generic receive offload coalesces need
// a little less (RFC 768; GRO_LEGACY_MAX_SIZE is 65536).
const Size = 64 << 10

// partsPerWord is how many parts one word of a chunk's ledger has bits for. The
// other half of the word holds the generation.
const partsPerWord = 32

// words is the length of a ledger. It suffices for the 128 datagrams that Linux
// segments or coalesces at most (UDP_MAX_SEGMENTS since 6.9, 64 before). A chunk
// with more parts is left to the garbage collector.
const words = 4

// A Chunk is a piece of memory to receive into and lend.
//
// Until Lend is called it has one owner, who may write to Bytes or give it
// back with Free.
type Chunk struct {
	Bytes []byte

	pool       *sync.Pool
	generation uint32
	// lent counts the words of the ledger with parts that are not released.
	lent atomic.Int32
	// ledger holds a generation in the upper half of each word, and in the lower
	// a bit for each part that is not released. So a single compare-and-swap both
	// checks that a lease is of this generation and ends it.
	ledger [words]atomic.Uint64
}

// A Lease is the right to use one part of a chunk until Release. The zero Lease
// is for memory of no chunk.
type Lease struct {
	chunk      *Chunk
	generation uint32
	part       uint32
}

// classes are the sizes of chunks. The small ones are for copies of short
// datagrams: keeping one does not pin 64 KiB. The largest holds what an AF_UNIX
// socket sends by default (net.core.wmem_default).
var classes = [...]class{
	{size: 128}, {size: 512}, {size: 2 << 10}, {size: 8 << 10}, {size: 24 << 10}, {size: Size}, {size: 4 * Size},
}

type class struct {
	size int
	pool sync.Pool
}

// Get returns a chunk of at least n bytes. Its contents are arbitrary.
func Get(n int) *Chunk {
	for i := range classes {
		class := &classes[i]
		if n > class.size {
			continue
		}
		if c, ok := class.pool.Get().(*Chunk); ok {
			return c
		}
		return &Chunk{Bytes: make([]byte, class.size), pool: &class.pool}
	}
	return &Chunk{Bytes: make([]byte, n)}
}

// Free gives back a chunk that was not lent since Get, or whose parts are all
// released.
func (c *Chunk) Free() {
	if c.pool != nil {
		c.pool.Put(c)
	}
}

// Lend ends the ownership of the caller. From now on the chunk belongs to so many
// leases, numbered from 0, and goes back to its pool when the last is released.
// parts must be at least 1.
func (c *Chunk) Lend(parts int) {
	c.generation++
	if parts > words*partsPerWord {
		// No lease of this generation matches the ledger.
		return
	}
	used := (parts + partsPerWord - 1) / partsPerWord
	c.lent.Store(int32(used))
	for i := range used {
		bits := uint64(1)<<min(parts-i*partsPerWord, partsPerWord) - 1
		c.ledger[i].Store(uint64(c.generation)<<partsPerWord | bits)
	}
}

// Lease returns the lease of a part of the latest Lend. Call it before the part
// can be released.
func (c *Chunk) Lease(part int) Lease {
	return Lease{chunk: c, generation: c.generation, part: uint32(part)}
}

// Release gives the part back. Only the first call through any copy of the lease
// has an effect, even after the memory has come to serve others. Under the race
// detector it also poisons used, if that is memory of the chunk.
func (l Lease) Release(used []byte) {
	c := l.chunk
	if c == nil || l.part >= words*partsPerWord {
		return
	}
	word, bit := &c.ledger[l.part/partsPerWord], uint64(1)<<(l.part%partsPerWord)
	for {
		old := word.Load()
		if uint32(old>>partsPerWord) != l.generation || old&bit == 0 {
			return
		}
		if !word.CompareAndSwap(old, old&^bit) {
			continue
		}
		if poisons {
			c.poison(used)
		}
		// Another goroutine may still be poisoning its part, so such chunks are not used again.
		if uint32(old&^bit) == 0 && c.lent.Add(-1) == 0 && !poisons {
			c.Free()
		}
		return
	}
}
