// Package queue stores datagrams that wait to be sent: a first-in first-out
// list of blocks, each a piece of memory into which payloads are copied
// straight behind one another, so that neighbours can leave as one message.
package queue

import (
	"slices"
	"sync"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// How many datagrams a block holds at most, to one destination and to several.
// It is sent as a whole: four full segmented messages amortise a system call
// well enough, and datagrams to several destinations have to be many to form
// runs.
const (
	blockDatagrams = 256
	mixedDatagrams = batch.MaxGroup
)

// maxChunks bounds the memory of a block to several destinations. To one it has a
// single chunk.
const maxChunks = 16

// A Block holds datagrams that were accepted one after the other.
type Block struct {
	// Datagrams, Tails and their indexes go together.
	Datagrams []socket.Outgoing
	Tails     []Tail
	// Answered is how many of them the kernel has answered for.
	Answered int
	// Told is how many of them were reported.
	Told int
	// Report says that somebody waits to hear of one of them.
	Report bool

	// order is empty, or where the datagrams stood before Group.
	order    []uint16
	mixed    bool // there are several destinations
	controls []socket.Control
	chunks   []*buffer.Chunk
	used     int // of the last chunk
	next     *Block
}

// A Tail is what the sender keeps with a datagram.
type Tail struct {
	Size int         // of the payload as it was accepted
	Done func(error) // may be nil
	Err  error       // the kernel's answer
}

var blocks = sync.Pool{New: func() any { return new(Block) }}

// Free gives back the block's memory.
func (b *Block) Free() {
	clear(b.Datagrams)
	clear(b.Tails)
	clear(b.controls)
	for i, chunk := range b.chunks {
		chunk.Free()
		b.chunks[i] = nil
	}
	*b = Block{
		Datagrams: b.Datagrams[:0], Tails: b.Tails[:0],
		order: b.order[:0], controls: b.controls[:0], chunks: b.chunks[:0],
	}
	blocks.Put(b)
}

// SplitAnswered returns what is answered of a block that will take longer as a
// block of its own, or nil. A grouped block is reported as a whole, since what
// is answered is not what was accepted first.
func (b *Block) SplitAnswered() *Block {
	if b.Answered == 0 || b.grouped() {
		return nil
	}
	done := blocks.Get().(*Block)
	done.Datagrams = append(done.Datagrams, b.Datagrams[:b.Answered]...)
	done.Tails = append(done.Tails, b.Tails[:b.Answered]...)
	done.Answered, done.Report = b.Answered, b.Report
	b.Datagrams = slices.Delete(b.Datagrams, 0, b.Answered)
	b.Tails = slices.Delete(b.Tails, 0, b.Answered)
	b.Answered = 0
	return done
}

// memory returns n bytes for a payload, or nil if the block has no room.
func (b *Block) memory(n int) []byte {
	limit, chunks := blockDatagrams, 1
	if b.mixed {
		limit, chunks = mixedDatagrams, maxChunks
	}
	if len(b.Datagrams) >= limit {
		return nil
	}
	if n > buffer.Size {
		return make([]byte, n) // only families other than the Internet's have such datagrams
	}
	if len(b.chunks) == 0 || n > buffer.Size-b.used {
		if len(b.chunks) >= chunks {
			return nil
		}
		b.chunks = append(b.chunks, buffer.Get(buffer.Size))
		b.used = 0
	}
	start := b.used
	b.used += n
	return b.chunks[len(b.chunks)-1].Bytes[start:b.used:b.used]
}

// control returns a copy of c. Neighbours usually have the same, and share it.
func (b *Block) control(c *socket.Control) *socket.Control {
	if n := len(b.controls); n > 0 && b.controls[n-1] == *c {
		return &b.controls[n-1]
	}
	b.controls = append(b.controls, *c)
	return &b.controls[len(b.controls)-1]
}

// A List is a first-in first-out list of blocks. The zero List is empty.
type List struct{ head, tail *Block }

// Append returns memory for the payload of d, of n bytes, at the end of the
// list, and remembers the rest of d with it. control, which may be nil, is
// copied.
func (l *List) Append(d socket.Outgoing, control *socket.Control, n int, tail Tail) []byte {
	var payload []byte
	if l.tail != nil {
		payload = l.tail.memory(n)
	}
	if payload == nil {
		l.Put(blocks.Get().(*Block))
		payload = l.tail.memory(n)
	}
	b := l.tail
	d.Payload = payload
	if control != nil {
		d.Control = b.control(control)
	}
	b.mixed = b.mixed || len(b.Datagrams) > 0 && d.Addr != b.Datagrams[0].Addr
	b.Datagrams = append(b.Datagrams, d)
	b.Tails = append(b.Tails, tail)
	b.Report = b.Report || tail.Done != nil
	return payload
}

// Put appends a block.
func (l *List) Put(b *Block) {
	b.next = nil
	if l.tail == nil {
		l.head = b
	} else {
		l.tail.next = b
	}
	l.tail = b
}

// PutFront puts a block before all others.
func (l *List) PutFront(b *Block) {
	if b.next = l.head; b.next == nil {
		l.tail = b
	}
	l.head = b
}

// Take removes and returns the first block, or nil.
func (l *List) Take() *Block {
	b := l.head
	if b == nil {
		return nil
	}
	if l.head = b.next; l.head == nil {
		l.tail = nil
	}
	b.next = nil
	return b
}

// Empty reports whether there is no block.
func (l *List) Empty() bool { return l.head == nil }
