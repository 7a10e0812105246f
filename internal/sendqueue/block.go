package sendqueue

import (
	"sync"

	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// blockDatagrams and mixedDatagrams are the most datagrams in a block, to one destination and to
// several. A chunk of 64 KiB has room for 256 datagrams of up to 256 bytes, which are four full
// segmented messages, or for one message of longer ones: either amortizes a system call well. With
// several destinations it takes many datagrams to form runs.
const (
	blockDatagrams = 256
	mixedDatagrams = batch.MaxGroup
)

// maxChunks limits the memory of a block to several destinations. A block to one destination has a
// single chunk.
const maxChunks = 16

// A block holds datagrams that were accepted one after the other.
type block struct {
	datagrams []socket.Outgoing // in sending order
	tails     []tail            // in order of acceptance
	// order[i] is the index in tails of datagrams[i]. places[i] is 1 + the index in datagrams of
	// tails[i], or 0 until that is answered. Both are empty while the orders are the same.
	order, places []uint16

	answered int // number of datagrams that the socket has answered
	ready    int // datagrams before this index may be submitted now
	settled  int // length of the answered prefix of tails

	mixed    bool // there are several Internet destinations
	awaited  bool // there are completion functions
	controls []socket.Control
	chunks   []*buffer.Chunk
	used     int // of the last chunk
	next     *block
}

// A tail is what the queue keeps with a datagram.
type tail struct {
	size int         // of the accepted payload
	done func(error) // may be nil
	err  error       // the answer
}

var blocks = sync.Pool{New: func() any { return new(block) }}

// free frees the block's memory.
func (b *block) free() {
	clear(b.datagrams)
	clear(b.tails)
	clear(b.controls)
	for i, chunk := range b.chunks {
		chunk.Free()
		b.chunks[i] = nil
	}
	*b = block{
		datagrams: b.datagrams[:0], tails: b.tails[:0], order: b.order[:0], places: b.places[:0],
		controls: b.controls[:0], chunks: b.chunks[:0],
	}
	blocks.Put(b)
}

// memory returns n bytes for the payloads of count datagrams, or nil if the block has no room.
func (b *block) memory(n, count int) []byte {
	limit, chunks := blockDatagrams, 1
	if b.mixed {
		limit, chunks = mixedDatagrams, maxChunks
	}
	if len(b.datagrams)+count > limit {
		return nil
	}
	if n > buffer.Size {
		return make([]byte, n) // only families other than the Internet ones have such datagrams
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

// control returns a copy of c. Neighbours usually have equal ones and share the copy.
func (b *block) control(c *socket.Control) *socket.Control {
	if n := len(b.controls); n > 0 && b.controls[n-1] == *c {
		return &b.controls[n-1]
	}
	b.controls = append(b.controls, *c)
	return &b.controls[len(b.controls)-1]
}

// append adds d with another payload, which is memory returned by memory.
func (b *block) append(d *socket.Outgoing, payload []byte, control *socket.Control, tail tail) {
	b.mixed = b.mixed || len(b.datagrams) > 0 && d.Addr != b.datagrams[0].Addr
	b.awaited = b.awaited || tail.done != nil
	if b.reordered() {
		b.order = append(b.order, uint16(len(b.tails)))
		b.places = append(b.places, 0)
	}
	b.datagrams = append(b.datagrams, *d)
	last := &b.datagrams[len(b.datagrams)-1]
	last.Payload = payload
	if control != nil {
		last.Control = b.control(control)
	}
	b.tails = append(b.tails, tail)
}

// hasRoomFor reports whether b can absorb next.
func (b *block) hasRoomFor(next *block) bool {
	return len(b.datagrams)+len(next.datagrams) <= mixedDatagrams && len(b.chunks)+len(next.chunks) <= maxChunks
}

// absorb moves the datagrams of next, none of which was sent, into b, unless there are too many.
func (b *block) absorb(next *block) bool {
	if !b.hasRoomFor(next) {
		return false
	}
	for i := range next.datagrams {
		d := &next.datagrams[i]
		b.append(d, d.Payload, nil, next.tails[i])
	}
	if len(next.chunks) > 0 {
		b.chunks, b.used = append(b.chunks, next.chunks...), next.used
	}
	next.chunks, next.controls = nil, nil // b's datagrams point into them
	return true
}

// answer records the answer to the next n datagrams and returns the size of their payloads.
func (b *block) answer(n int, err error) (bytes int) {
	for place := b.answered; place < b.answered+n; place++ {
		t := &b.tails[b.accepted(place)]
		bytes += t.size
		if err != nil {
			t.err = err
		}
		if b.reordered() {
			b.places[b.order[place]] = uint16(place + 1)
		}
	}
	b.answered += n
	return bytes
}

// settle extends the answered prefix of tails, and returns the range that it grew by.
func (b *block) settle() (from, to int) {
	from = b.settled
	if !b.reordered() {
		b.settled = b.answered
	} else {
		for b.settled < len(b.tails) && b.places[b.settled] > 0 {
			b.settled++
		}
	}
	return from, b.settled
}

func (b *block) reordered() bool { return len(b.order) > 0 }

// accepted returns the index in tails of datagrams[place].
func (b *block) accepted(place int) int {
	if b.reordered() {
		return int(b.order[place])
	}
	return place
}

// datagram returns the answered datagram of tails[accepted].
func (b *block) datagram(accepted int) *socket.Outgoing {
	if b.reordered() {
		return &b.datagrams[b.places[accepted]-1]
	}
	return &b.datagrams[accepted]
}

// done reports whether all datagrams are answered.
func (b *block) done() bool { return b.answered == len(b.datagrams) }

// A blockList is a first-in first-out list of blocks. The zero blockList is empty.
type blockList struct{ first, last *block }

// append adds d to the end of the list and returns memory for its payload of n bytes. It copies
// control, which may be nil.
func (l *blockList) append(d *socket.Outgoing, control *socket.Control, n int, tail tail) []byte {
	payload := l.memory(n, 1)
	l.last.append(d, payload, control, tail)
	return payload
}

// appendRun adds datagrams of segment bytes, of which the last may be shorter, to the end of the
// list. d's payload, which it copies, holds them all and fits into a chunk.
func (l *blockList) appendRun(d *socket.Outgoing, control *socket.Control, segment int) {
	rest := l.memory(len(d.Payload), batch.Segments(len(d.Payload), segment))
	copy(rest, d.Payload)
	for len(rest) > 0 {
		n := min(segment, len(rest))
		l.last.append(d, rest[:n:n], control, tail{size: n})
		rest = rest[n:]
	}
}

// prepend adds a copy of d to the front of the list, in a block of its own.
func (l *blockList) prepend(d *socket.Outgoing, control *socket.Control) {
	b := blocks.Get().(*block)
	payload := b.memory(len(d.Payload), 1)
	copy(payload, d.Payload)
	b.append(d, payload, control, tail{size: len(payload)})
	l.putFront(b)
}

// memory returns n bytes for the payloads of count datagrams, in the last block. It adds one if that
// has no room.
func (l *blockList) memory(n, count int) []byte {
	if l.last != nil {
		if memory := l.last.memory(n, count); memory != nil {
			return memory
		}
	}
	l.put(blocks.Get().(*block))
	return l.last.memory(n, count)
}

// put appends a block.
func (l *blockList) put(b *block) {
	b.next = nil
	if l.last == nil {
		l.first = b
	} else {
		l.last.next = b
	}
	l.last = b
}

// putFront inserts a block at the front.
func (l *blockList) putFront(b *block) {
	if b.next = l.first; b.next == nil {
		l.last = b
	}
	l.first = b
}

// take removes and returns the first block, or nil.
func (l *blockList) take() *block {
	b := l.first
	if b == nil {
		return nil
	}
	if l.first = b.next; l.first == nil {
		l.last = nil
	}
	b.next = nil
	return b
}

// mayMerge reports whether what was appended last is in the first block, or may be absorbed by it.
func (l *blockList) mayMerge() bool {
	return l.first.next == nil || l.first.hasRoomFor(l.first.next)
}

// merge merges the first two blocks, and reports whether it could.
func (l *blockList) merge() bool {
	b := l.take()
	next := l.first
	merged := next != nil && b.absorb(next)
	if merged {
		l.take().free()
	}
	l.putFront(b)
	return merged
}

// empty reports whether the list has no block.
func (l *blockList) empty() bool { return l.first == nil }
