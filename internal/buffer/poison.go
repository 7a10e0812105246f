package buffer

import "unsafe"

// Poison is what released memory is filled with under the race detector.
const Poison = 0xDB

// poison overwrites released memory, if it is the chunk's and not some that the
// program has put there. A program that still uses it then sees nonsense, or gets
// a report of the race detector if another goroutine does.
func (c *Chunk) poison(used []byte) {
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(c.Bytes)))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(used)))
	if at < begin || at-begin >= uintptr(len(c.Bytes)) {
		return
	}
	for i := range used {
		used[i] = Poison
	}
}
