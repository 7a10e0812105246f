//go:build unix

package conntest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Untouched returns memory that reads as zeros and is never allocated physically, unlike that of make.
func Untouched(tb testing.TB, size int) []byte {
	tb.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Munmap(b); err != nil {
			tb.Error(err)
		}
	})
	return b
}
