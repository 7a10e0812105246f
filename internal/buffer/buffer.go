// Package buffer owns the memory that received datagrams are lent in.
//
// A [Chunk] is a piece of memory that one owner fills and then lends, in any
// number of parts, to readers who know nothing of one another. Each part has a
// [Lease]; when the last lease is released the chunk goes back to its pool. A
// chunk whose leases are never released is garbage like any other: the pool
// keeps no reference to what it has lent.
package buffer

import (
	"sync"
	"sync/atomic"
)

// Size is the size of the chunks that the kernel receives into: the largest
// datagram of UDP, and the largest run that generic receive offload coalesces,
// both need a little less (RFC 768; GRO_LEGACY_MAX_SIZE is 65536).
const Size = 64 << 10

// partsPerWord is how many parts one word of a chunk's ledger accounts for.
// The other half of the word holds the generation.
const partsPerWord = 32

// words bounds the parts of a chunk that can be given back. Linux segments and
// coalesces at most 128 datagrams a message (UDP_MAX_SEGMENTS since 6.9, 64
// before). A chunk with more parts than this is left to the collector.
const words = 4

// A Chunk is a piece of memory to receive into and lend.
//
// Until Lend is called it has one owner, who may write to Bytes or give it
// back with Free.
type Chunk struct {
	Bytes []byte

	pool       *sync.Pool
	generation uint32
	// lent counts the words of the ledger with parts outstanding.
	lent atomic.Int32
	// ledger holds a generation in the upper half of each word and a bit for
	// each part outstanding in the lower, so that a single compare-and-swap
	// both proves that a lease is of this generation and ends it.
	ledger [words]atomic.Uint64
}

// A Lease is the right to use one part of a chunk until Release.
// The zero Lease is of memory that nobody takes back.
type Lease struct {
	chunk      *Chunk
	generation uint32
	part       uint32
}

// classes are the sizes that chunks come in. The small ones hold copies of
// short datagrams, so that keeping one of those does not pin 64 KiB. The
// largest holds what an AF_UNIX socket sends by default
// (net.core.wmem_default).
var classes = [...]class{
	{size: 512}, {size: 2 << 10}, {size: 8 << 10}, {size: 24 << 10}, {size: Size}, {size: 4 * Size},
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

// Free gives back a chunk that was never lent, or of which every part was
// released.
func (c *Chunk) Free() {
	if c.pool != nil {
		c.pool.Put(c)
	}
}

// Lend ends the ownership of the caller: from now on the chunk belongs to
// parts leases, numbered from 0, and goes back to its pool after the last of
// them is released. parts must be at least 1.
func (c *Chunk) Lend(parts int) {
	c.generation++
	if parts > words*partsPerWord {
		// No lease of this generation will match the ledger.
		return
	}
	used := (parts + partsPerWord - 1) / partsPerWord
	c.lent.Store(int32(used))
	for i := range used {
		bits := uint64(1)<<min(parts-i*partsPerWord, partsPerWord) - 1
		c.ledger[i].Store(uint64(c.generation)<<partsPerWord | bits)
	}
}

// Lease returns the lease of a part of the latest Lend. It must be called
// before the part can have been released.
func (c *Chunk) Lease(part int) Lease {
	return Lease{chunk: c, generation: c.generation, part: uint32(part)}
}

// Release gives the part back. Releasing it again does nothing, through any
// copy of the lease and also after the memory serves others.
func (l Lease) Release() {
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
		if uint32(old&^bit) == 0 && c.lent.Add(-1) == 0 {
			c.Free()
		}
		return
	}
}
