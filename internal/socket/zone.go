package socket

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// zones translates between IPv6 zones and interface indexes for one socket,
// which on Linux may belong to another network namespace than the thread that
// uses it. Asking the system takes long, so answers are kept for a minute, as in
// package net, and forgotten when a send fails: interfaces are renamed or made
// anew, and their indexes reused.
type zones struct {
	socket  *kernelSocket
	mu      sync.Mutex
	expires time.Time
	names   map[uint32]string
	indexes map[string]uint32
}

const zoneLife = time.Minute

// changed looks zones up anew, after a send that used them has failed, and
// reports whether one of them now means another interface of the same name.
func (z *zones) changed(names ...string) bool {
	changed := false
	for _, name := range names {
		known, ok := z.forget(name)
		if !ok {
			continue
		}
		if index, err := z.Index(name); err == nil && index != known {
			changed = true
		}
	}
	return changed
}

// forget makes the next lookup of a zone ask the system. It returns what was
// known.
func (z *zones) forget(name string) (index uint32, ok bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	index, ok = z.indexes[name]
	delete(z.indexes, name)
	delete(z.names, index)
	return index, ok
}

// refresh empties the cache when its time has come. mu must be held.
func (z *zones) refresh() {
	if now := time.Now(); now.After(z.expires) {
		z.names, z.indexes = make(map[uint32]string), make(map[string]uint32)
		z.expires = now.Add(zoneLife)
	}
}

// Name returns the name of an interface, or its index in decimal.
func (z *zones) Name(index uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.refresh()
	name, ok := z.names[index]
	if !ok {
		name = strconv.FormatUint(uint64(index), 10)
		if ifi, err := z.socket.Interface(int(index)); err == nil {
			name = ifi.Name
		}
		z.names[index] = name
	}
	return name
}

// Index returns the index of the interface that a zone names, or that it is in
// decimal. A zone that does not exist is ENODEV: for the index 0 a datagram
// would leave by some interface that does.
func (z *zones) Index(name string) (uint32, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.refresh()
	index, ok := z.indexes[name]
	if ok {
		return index, nil
	}
	index, err := z.socket.interfaceIndex(name)
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
