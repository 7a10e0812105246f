package socket

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func destination(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(port))
}

func (s *segmentation) allowed(addr netip.AddrPort) bool {
	permission := s.ask()
	defer permission.done()
	return permission.covers(addr)
}

// A blocked destination is tried again later, and then leaves no trace.
func TestSegmentationIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s segmentation
		s.on.Store(true)
		s.block(destination(1), unix.EMSGSIZE)
		if s.allowed(destination(1)) || !s.allowed(destination(2)) {
			t.Error("not the blocked destination alone is blocked")
		}
		if reason := s.blockReason(); !strings.Contains(reason, unix.EMSGSIZE.Error()) {
			t.Errorf("reason %q", reason)
		}
		time.Sleep(blockTime + 1) // in the time of synctest
		if reason := s.blockReason(); reason != "" {
			t.Errorf("reason %q of what is over", reason)
		}
		// The first send to any destination forgets it, so that later ones take no lock.
		if !s.allowed(destination(2)) || s.blocks.Load() != 0 || len(s.blocked) != 0 {
			t.Error("it is still remembered")
		}
		if !s.allowed(destination(1)) {
			t.Error("it is still blocked")
		}
	})
}

// Strangers may choose destinations.
func TestBlockedDestinationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s segmentation
		s.on.Store(true)
		for port := range 2 * maxBlocks {
			s.block(destination(port), unix.EIO)
		}
		if n := len(s.blocked); n != maxBlocks {
			t.Errorf("%d destinations are kept, want %d", n, maxBlocks)
		}
		time.Sleep(blockTime + 1)
		s.block(destination(0), unix.EIO)
		if n := len(s.blocked); n != 1 {
			t.Errorf("%d destinations are kept, want 1", n)
		}
	})
}

// The block of each destination ends at its own time.
func TestBlocksEndOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s segmentation
		s.on.Store(true)
		s.block(destination(1), unix.EIO)
		time.Sleep(blockTime / 2)
		s.block(destination(2), unix.EIO)
		time.Sleep(blockTime/2 + 1)
		if !s.allowed(destination(1)) || s.allowed(destination(2)) {
			t.Error("not the later one alone is blocked")
		}
	})
}

// Where many destinations refuse segmentation it is blocked to all for a while. Then nothing is looked up, and no
// more of them fail first.
func TestSegmentationIsGivenUpToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s segmentation
		s.on.Store(true)
		for port := range maxBlocks {
			s.block(destination(port), unix.EIO)
		}
		if !s.allowed(destination(maxBlocks)) {
			t.Error("it is given up before it has to be")
		}
		s.block(destination(maxBlocks), unix.EIO)
		if s.allowed(destination(maxBlocks + 1)) {
			t.Error("it is not given up")
		}
		if reason := s.blockReason(); !strings.Contains(reason, "too many") || !strings.Contains(reason, unix.EIO.Error()) {
			t.Errorf("reason %q", reason)
		}
		time.Sleep(blockTime / 2)
		s.block(destination(0), unix.EIO) // was under way, and does not prolong it
		time.Sleep(blockTime/2 + 1)
		if !s.allowed(destination(0)) || len(s.blocked) != 0 || s.blockReason() != "" {
			t.Error("it is not tried again")
		}
	})
}

// Blocks that have ended make place for others.
func TestOldBlocksMakePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s segmentation
		s.on.Store(true)
		for port := range maxBlocks {
			s.block(destination(port), unix.EIO)
			if port == maxBlocks/2 {
				time.Sleep(blockTime / 2)
			}
		}
		time.Sleep(blockTime/2 + 1)
		s.block(destination(maxBlocks), unix.EIO)
		if s.allowed(destination(maxBlocks)) || !s.allowed(destination(maxBlocks+1)) {
			t.Error("not the blocked destinations alone are blocked")
		}
	})
}
