package datagram

import (
	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// intake turns messages that the socket received together into lent datagrams. It has one owner at
// a time.
type intake struct {
	batch    socket.Batch
	received int // datagrams in the batch
	message  int // index of the message that next reads
	offset   int // in that message's payload
	part     int // of that message's chunk
	failures int // errors since the last successful receive
	lent     bool
	trimmed  bool
}

// A message of up to this share of its chunk is small. Small messages are copied together into one
// chunk of the smallest sufficient size. Without this, each of them would pin 64 KiB while it is
// kept; with it, a kept one pins its neighbours, up to 64 KiB in all.
const copyShare = 8

// partsPerCopy bounds how many datagrams share a chunk of copies, since one that is kept pins them
// all.
const partsPerCopy = 64

// begin makes next start with what was received. It returns the number of datagrams, and of their bytes
// when truncated to limit.
func (in *intake) begin(limit int) (datagrams, bytes int) {
	in.message, in.failures, in.lent, in.trimmed = 0, 0, false, false
	in.received = 0
	for i := range in.batch.Messages {
		m := &in.batch.Messages[i]
		n := batch.Segments(len(m.Payload), m.SegmentSize)
		last := len(m.Payload) - (n-1)*m.SegmentSize
		in.received += n
		bytes += (n-1)*min(m.SegmentSize, limit) + min(last, limit)
	}
	return in.received, bytes
}

// lend lends the memory of all messages, so that datagrams outlast the intake. Otherwise they are
// valid until free.
func (in *intake) lend() {
	if in.lent {
		return
	}
	in.lent = true
	messages := in.batch.Messages[in.message:]
	for i := 0; i < len(messages); {
		if m := &messages[i]; !isSmall(m) {
			m.Lent, m.Chunk, m.FirstPart = m.Chunk, nil, 0
			m.Lent.Lend(batch.Segments(len(m.Payload), m.SegmentSize))
			i++
			continue
		}
		i += copySmall(messages[i:])
	}
}

func isSmall(m *socket.Incoming) bool {
	return len(m.Payload) <= len(m.Chunk.Bytes)/copyShare
}

// copySmall copies as many of the leading small messages as fit into one chunk, and returns how
// many it copied.
func copySmall(messages []socket.Incoming) int {
	n, size, parts := 0, 0, 0
	for n < len(messages) && isSmall(&messages[n]) {
		m := &messages[n]
		segments := batch.Segments(len(m.Payload), m.SegmentSize)
		if n > 0 && (size+len(m.Payload) > buffer.Size || parts+segments > partsPerCopy) {
			break
		}
		m.FirstPart = parts
		size += len(m.Payload)
		parts += segments
		n++
	}
	chunk := buffer.Get(size)
	chunk.Lend(parts)
	free := chunk.Bytes
	for i := range messages[:n] {
		m := &messages[i]
		copied := copy(free, m.Payload)
		m.Payload, free = free[:copied:copied], free[copied:]
		m.Lent = chunk
	}
	return n
}

// next sets d to the next datagram, truncated to limit bytes.
func (in *intake) next(d *Datagram, limit int) bool {
	if in.isEmpty() { // for example because the socket has freed the batch
		return false
	}
	m := &in.batch.Messages[in.message]
	size := len(m.Payload)
	if m.SegmentSize > 0 {
		size = min(m.SegmentSize, size-in.offset)
	}
	end := in.offset + size
	cut := min(size, limit)
	*d = Datagram{
		Payload:   m.Payload[in.offset : in.offset+cut : in.offset+cut],
		Addr:      m.Addr,
		Partial:   cut < size || m.Truncated && end == len(m.Payload),
		elsewhere: m.Elsewhere,
		Meta:      Metadata(m.Control),
		name:      m.Name,
	}
	if in.lent {
		d.lease = m.Lent.Lease(m.FirstPart + in.part)
	}
	if end == len(m.Payload) {
		in.message++
		in.offset, in.part = 0, 0
	} else {
		in.offset = end
		in.part++
	}
	return true
}

// isEmpty reports whether next has nothing to return.
func (in *intake) isEmpty() bool { return in.message >= len(in.batch.Messages) }

// trim frees memory that is kept only for the next receive.
func (in *intake) trim() {
	if !in.trimmed {
		in.trimmed = true
		in.batch.Trim()
	}
}

// free frees the memory for receiving. Lent memory stays lent.
func (in *intake) free() {
	in.batch.Free()
	in.received, in.message, in.lent = 0, 0, false
}
