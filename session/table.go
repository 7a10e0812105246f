package session

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A flow is what a session is found by: the peer's address and the one that it sends to.
type flow struct{ remote, local netip.AddrPort }

// A table finds the open sessions of a listener. Its shards keep handles that receive on different
// processors from waiting for one another.
type table struct{ shards [shards]shard }

const (
	shardBits = 6
	shards    = 1 << shardBits
)

// A shard is a part of a table, and counts the datagrams of its sessions.
type shard struct {
	mu       sync.Mutex
	sessions map[flow]*Conn

	received, delivered, dropped, discarded atomic.Uint64

	_ [cacheLine]byte
}

// cacheLine is the size of the largest cache lines, those of Apple's processors, and of the pairs that
// Intel's fetch together.
const cacheLine = 128

func (t *table) init() {
	for i := range t.shards {
		t.shards[i].sessions = make(map[flow]*Conn)
	}
}

// shard returns the shard of a flow. A peer that chooses its shard slows down only those that share
// it, and only while both are received on different processors.
func (t *table) shard(f flow) *shard {
	remote := f.remote.Addr().As16()
	hash := binary.NativeEndian.Uint64(remote[:8]) ^ binary.NativeEndian.Uint64(remote[8:]) ^ uint64(f.remote.Port())
	return &t.shards[hash*fibonacci>>(64-shardBits)]
}

// fibonacci is 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
const fibonacci = 0x9e3779b97f4a7c15

func (s *shard) find(f flow) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[f]
}

// insert adds a session and reports whether it did, which is if the flow has none.
func (s *shard) insert(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.flow] != nil {
		return false
	}
	s.sessions[c.flow] = c
	return true
}

// remove removes a session, unless that was done before and the flow has another.
func (s *shard) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.flow] == c {
		delete(s.sessions, c.flow)
	}
}
