package socket

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// zones translates between the IPv6 zones of a socket and interface indexes.
// Asking the system takes long, so answers are kept, as package net does, for a
// minute: interfaces are renamed and their indexes reused. Each socket has its
// own, since on Linux it may belong to another network namespace than the
// thread that uses it.
type zones struct {
	socket  *handle // nil: ask for the thread that uses it
	mu      sync.Mutex
	expires time.Time
	names   map[uint32]string
	indexes map[string]uint32
}

const zoneLife = time.Minute

// refresh empties the cache when its time has come. mu must be held.
func (z *zones) refresh() {
	if now := time.Now(); now.After(z.expires) {
		z.names, z.indexes = make(map[uint32]string), make(map[string]uint32)
		z.expires = now.Add(zoneLife)
	}
}

// name returns the name of an interface, or its index in decimal.
func (z *zones) name(index uint32) string {
	if z == nil {
		z = new(zones)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.refresh()
	name, ok := z.names[index]
	if !ok {
		var err error
		if name, err = interfaceName(z.socket, index); err != nil {
			name = strconv.FormatUint(uint64(index), 10)
		}
		z.names[index] = name
	}
	return name
}

// index returns the index of the interface that a zone names, by its name or in
// decimal. What goes to a zone that does not exist must not leave by an
// interface that does, which for the index 0 it would.
func (z *zones) index(name string) (uint32, error) {
	if z == nil {
		z = new(zones)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.refresh()
	index, ok := z.indexes[name]
	if ok {
		return index, nil
	}
	index, err := interfaceIndex(z.socket, name)
	switch {
	case err == nil:
		z.indexes[name] = index // only what exists: others are the caller's to invent
		return index, nil
	case errors.Is(err, net.ErrClosed):
		return 0, err
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil && n > 0 {
		return uint32(n), nil
	}
	return 0, syscall.ENODEV
}
