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

// A destination that lost segmentation gets it back, and is no longer spoken of.
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
		// Whoever asks for whatever destination ends it, so that none costs a lock any more.
		if !s.allowed(destination(2)) || s.blocks.Load() != 0 || len(s.blocked) != 0 {
			t.Error("it is still remembered")
		}
		if !s.allowed(destination(1)) {
			t.Error("it is still blocked")
		}
	})
}

// Destinations may be a stranger's choice.
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

// Each destination has its own time.
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
