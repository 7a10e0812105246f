package datagram

import (
	"example.com/datagram/internal/batch"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/socket"
)

// intake makes lent datagrams of what the socket received together. It has
// one owner at a time.
type intake struct {
	batch    socket.Batch
	message  int // the one that next looks at
	offset   int // in its payload
	part     int // of its chunk
	failures int // errors since something was received
}

// A message of up to this share of the chunk it was received into is copied to
// a smaller one, so that whoever keeps it does not pin 64 KiB.
const copyShare = 8

// partsPerCopy bounds how many datagrams share a chunk of copies, all
// of which one that is kept pins.
const partsPerCopy = 64

// begin lends the memory of everything that was received.
func (in *intake) begin() {
	in.message, in.failures = 0, 0
	messages := in.batch.Messages
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

// copySmall copies the small messages at the beginning of messages, as many as
// fit, to one chunk. It returns how many.
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

// next makes d the next datagram, cut to limit bytes.
func (in *intake) next(d *Datagram, limit int) bool {
	if in.message >= len(in.batch.Messages) { // fewer when the socket has freed the batch
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
		lease:     m.Lent.Lease(m.FirstPart + in.part),
		name:      m.Name,
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

// size returns how many datagrams were received, and of how many bytes when they are cut to limit.
func (in *intake) size(limit int) (datagrams, bytes int) {
	for i := range in.batch.Messages {
		m := &in.batch.Messages[i]
		n := batch.Segments(len(m.Payload), m.SegmentSize)
		last := len(m.Payload) - (n-1)*m.SegmentSize
		datagrams += n
		bytes += (n-1)*min(m.SegmentSize, limit) + min(last, limit)
	}
	return datagrams, bytes
}

// remaining is how many datagrams next will return.
func (in *intake) remaining() int {
	n := -in.part
	for i := in.message; i < len(in.batch.Messages); i++ {
		m := &in.batch.Messages[i]
		n += batch.Segments(len(m.Payload), m.SegmentSize)
	}
	return n
}

// free gives back the memory for receiving. What was lent stays so.
func (in *intake) free() {
	in.batch.Free()
	in.message = 0
}
