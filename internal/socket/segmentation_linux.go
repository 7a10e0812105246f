package socket

import (
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// segmentation knows to which destinations a socket can use segmentation offload.
// It is blocked for a while to one whose route refuses it, or to all if there are
// many of those.
type segmentation struct {
	on atomic.Bool

	// blocks counts the blocked destinations. If there are none, ask takes no lock.
	blocks  atomic.Int32
	mu      sync.RWMutex
	blocked map[netip.AddrPort]block
	all     syscall.Errno // why it is blocked to all, if it is
	end     time.Time     // of the last block

	// failing is the destination of the datagram that last failed both in a run
	// and alone. The others of the run probably will too, so they are not sent as a
	// run again.
	failing atomic.Pointer[netip.AddrPort]
}

type block struct {
	until time.Time
	errno syscall.Errno
}

const (
	// blockTime is how long a block lasts. Routes change, and one failed batch in
	// that time costs nothing measurable.
	blockTime = 10 * time.Second
	// maxBlocks bounds the memory for destinations, which strangers may choose,
	// and how many fail before segmentation is blocked to all.
	maxBlocks = 1024
)

// segmentationErrors reports whether an error may be one of segmentation offload:
//   - EIO: the device or an IPsec route cannot do it.
//   - EMSGSIZE: a segment exceeds the path MTU. A single datagram would be
//     fragmented.
//   - EINVAL: either, on older kernels.
//   - EPERM: a packet filter judges by the length, which is that of all segments
//     (nft_do_chain, NF_DROP).
func segmentationErrors(errno syscall.Errno) bool {
	return errno == unix.EIO || errno == unix.EINVAL || errno == unix.EMSGSIZE || errno == unix.EPERM
}

// A permission says what one send may segment. Until it is given back nothing is
// blocked.
type permission struct {
	segmentation *segmentation // nil for nothing
	now          time.Time     // zero for everything
}

// ask returns the permission for a send.
func (s *segmentation) ask() permission {
	switch {
	case !s.on.Load():
		return permission{}
	case s.blocks.Load() == 0:
		return permission{segmentation: s}
	}
	now := time.Now()
	s.mu.RLock()
	switch {
	case now.After(s.end):
		s.mu.RUnlock()
		s.forget(now)
		return permission{segmentation: s}
	case s.all != 0:
		s.mu.RUnlock()
		return permission{}
	}
	return permission{s, now}
}

// done gives the permission back.
func (p permission) done() {
	if !p.now.IsZero() {
		p.segmentation.mu.RUnlock()
	}
}

// covers reports whether to segment what goes to a destination.
func (p permission) covers(addr netip.AddrPort) bool {
	if p.segmentation == nil || p.now.IsZero() {
		return p.segmentation != nil
	}
	b, ok := p.segmentation.blocked[addr]
	return !ok || p.now.After(b.until)
}

// forget forgets all blocks if they are over.
func (s *segmentation) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(s.end) {
		clear(s.blocked)
		s.all = 0
		s.blocks.Store(0)
	}
}

// block blocks a destination, or all if there is no place for one more.
func (s *segmentation) block(addr netip.AddrPort, errno syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.all != 0 && !now.After(s.end) {
		return // a send was under way when all were blocked
	}
	if len(s.blocked) >= maxBlocks {
		maps.DeleteFunc(s.blocked, func(_ netip.AddrPort, b block) bool { return now.After(b.until) })
	}
	if s.blocked == nil {
		s.blocked = make(map[netip.AddrPort]block)
	}
	s.all = 0
	s.end = now.Add(blockTime)
	if len(s.blocked) < maxBlocks {
		s.blocked[addr] = block{until: s.end, errno: errno}
	} else {
		s.all = errno
	}
	s.blocks.Store(int32(len(s.blocked)))
}

// blockReason says how many destinations are blocked, and why one of them is. It
// is empty if none is.
func (s *segmentation) blockReason() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now, count := time.Now(), 0
	if s.all != 0 && !now.After(s.end) {
		return fmt.Sprintf("not for now, since too many destinations refuse it: %v", s.all)
	}
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

// fails notes whether the first datagram of a run has failed alone too.
func (s *segmentation) fails(addr netip.AddrPort, failed bool) {
	switch {
	case failed && !s.isFailing(addr):
		s.failing.Store(&addr)
	case !failed && s.failing.Load() != nil:
		s.failing.Store(nil)
	}
}

// isFailing reports whether runs to a destination fail.
func (s *segmentation) isFailing(addr netip.AddrPort) bool {
	last := s.failing.Load()
	return last != nil && *last == addr
}
