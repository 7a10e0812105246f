// Package batch decides which datagrams can share a message with the kernel.
// It is pure logic: no system calls, no memory of its own.
package batch

// The limits of a segmented message.
const (
	// MaxSegments is UDP_MAX_SEGMENTS of Linux before 6.9; a host may refuse a
	// guest's message with more even where the guest's own kernel takes 128.
	MaxSegments = 64
	// MaxPayload4 and MaxPayload6 are the largest UDP payloads: 65,535 bytes less
	// the UDP header (RFC 768) and, for IPv4, the IP header (RFC 791).
	MaxPayload4 = 65535 - 8 - 20
	MaxPayload6 = 65535 - 8
)

// A Run is a series of datagrams to one destination that the kernel can cut from one
// message: all of one size but the last, which may be shorter. The zero Run is
// empty.
type Run struct {
	Size  int // of the first datagram
	Count int
	Bytes int
	ended bool
}

// Add adds a datagram of n bytes to the run, if it can be part of it. limit
// is MaxPayload4 or MaxPayload6.
func (r *Run) Add(n, limit int) bool {
	if r.Count == 0 {
		// A single datagram may be of any size, also one that the kernel refuses.
		*r = Run{Size: n, Count: 1, Bytes: n, ended: n == 0}
		return true
	}
	// An empty segment cannot be expressed.
	if r.ended || n == 0 || n > r.Size || r.Count == MaxSegments || r.Bytes+n > limit {
		return false
	}
	r.ended = n < r.Size
	r.Count++
	r.Bytes += n
	return true
}

// Segments returns how many datagrams a coalesced payload of n bytes holds.
func Segments(n, size int) int {
	if size <= 0 || n <= size {
		return 1
	}
	return (n + size - 1) / size
}
