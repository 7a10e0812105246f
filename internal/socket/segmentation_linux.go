package socket

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// segmentation knows where a socket can use segmentation offload. It is lost
// to a destination whose route cannot do it, and tried again later.
type segmentation struct {
	on atomic.Bool

	// blocks counts the blocked destinations, so that the usual case costs no lock.
	blocks  atomic.Int32
	mu      sync.Mutex
	blocked map[netip.AddrPort]block
	end     time.Time // of the last block
}

type block struct {
	until time.Time
	errno syscall.Errno
}

const (
	// blockTime is how long to do without. Routes change, and one failed
	// batch in that time costs nothing that can be measured.
	blockTime = 10 * time.Second
	// maxBlocks bounds the memory that destinations, which may be a stranger's choice,
	// can use up. Those that find no place just fail again.
	maxBlocks = 1024
)

// segmentationErrors says whether an error may be one of segmentation offload:
// EIO where the device or an IPsec route cannot do it, EMSGSIZE where a segment
// exceeds the path MTU, which a single datagram may by being fragmented, EINVAL
// for either on older kernels, EPERM where a packet filter judges by the
// length, which is that of all segments (nft_do_chain, NF_DROP).
func segmentationErrors(errno syscall.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.EPERM
}

// allowed reports whether to try segmentation to a destination.
func (s *segmentation) allowed(addr netip.AddrPort) bool {
	if !s.on.Load() {
		return false
	}
	if s.blocks.Load() == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.After(s.end) {
		clear(s.blocked)
		s.blocks.Store(0)
	}
	b, ok := s.blocked[addr]
	return !ok || now.After(b.until)
}

// block gives segmentation to a destination up for a while.
func (s *segmentation) block(addr netip.AddrPort, errno syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if len(s.blocked) >= maxBlocks {
		for addr, b := range s.blocked {
			if now.After(b.until) {
				delete(s.blocked, addr)
			}
		}
	}
	if s.blocked == nil {
		s.blocked = make(map[netip.AddrPort]block)
	}
	if len(s.blocked) < maxBlocks {
		s.end = now.Add(blockTime)
		s.blocked[addr] = block{until: s.end, errno: errno}
	}
	s.blocks.Store(int32(len(s.blocked)))
}

// blockReason says to how many destinations segmentation is blocked, and why to one of them.
// It is empty if to none.
func (s *segmentation) blockReason() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, count := time.Now(), 0
	var errno syscall.Errno
	for _, b := range s.blocked {
		if !now.After(b.until) {
			count, errno = count+1, b.errno
		}
	}
	if count == 0 {
		return ""
	}
	return fmt.Sprintf("not to %d of the destinations for now: %v", count, errno)
}

// SetSegmentation turns segmentation offload on or off, within the limits.
func (s *system) SetSegmentation(on bool) {
	s.segmentation.on.Store(on && s.limits.Segment)
}
