package socket

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// zones translates between IPv6 zones and interface indexes. Asking the system
// takes many microseconds, so answers are kept, as package net does, for a
// minute: interfaces are renamed and their indexes reused.
var zones zoneCache

const zoneLife = time.Minute

type zoneCache struct {
	mu      sync.Mutex
	expires time.Time
	names   map[uint32]string
	indexes map[string]uint32
}

// refresh empties the cache when its time has come. mu must be held.
func (z *zoneCache) refresh() {
	if now := time.Now(); now.After(z.expires) {
		z.names, z.indexes = make(map[uint32]string), make(map[string]uint32)
		z.expires = now.Add(zoneLife)
	}
}

// name returns the name of an interface, or its index in decimal.
func (z *zoneCache) name(index uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.refresh()
	name, ok := z.names[index]
	if !ok {
		name = strconv.FormatUint(uint64(index), 10)
		if ifi, err := net.InterfaceByIndex(int(index)); err == nil {
			name = ifi.Name
		}
		z.names[index] = name
	}
	return name
}

// index returns the index of the interface that a zone names, or 0.
func (z *zoneCache) index(name string) uint32 {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.refresh()
	index, ok := z.indexes[name]
	if ok {
		return index
	}
	if ifi, err := net.InterfaceByName(name); err == nil {
		index = uint32(ifi.Index)
		z.indexes[name] = index // only what exists: others are the caller's to invent
		return index
	}
	n, _ := strconv.ParseUint(name, 10, 32)
	return uint32(n)
}
