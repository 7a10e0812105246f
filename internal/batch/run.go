// Package batch decides which datagrams can share a message with the kernel.
// It is pure logic: no system calls, no memory of its own.
package batch

import "net/netip"

// The limits of a segmented message.
const (
	// MaxSegments is UDP_MAX_SEGMENTS of Linux before 6.9. Later kernels take 128,
	// but the host of a virtual machine may still refuse more than 64.
	MaxSegments = 64
	// MaxPayload4 and MaxPayload6 are the largest UDP payloads: 65,535 bytes less
	// the UDP header (RFC 768) and, for IPv4, the IP header (RFC 791).
	MaxPayload4 = 65535 - 8 - 20
	MaxPayload6 = 65535 - 8
)

// MaxPayload returns the size of the largest UDP payload to an address.
func MaxPayload(to netip.Addr) int {
	if to.Is4() {
		return MaxPayload4
	}
	return MaxPayload6
}

// A Run is a series of datagrams to one destination that the kernel can cut from
// one message. All have the same size but the last, which may be shorter. The
// zero Run is empty.
type Run struct {
	Size  int // of the first datagram
	Count int
	Bytes int
	ended bool
}

// Add adds a datagram of n bytes to the run and reports whether the run can hold
// it. limit is MaxPayload4 or MaxPayload6.
func (r *Run) Add(n, limit int) bool {
	if r.Count == 0 {
		// A single datagram may have any size, even one that the kernel refuses.
		*r = Run{Size: n, Count: 1, Bytes: n, ended: n == 0}
		return true
	}
	// There is no empty segment.
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
