//go:build unix

package socket_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// descriptors counts the process's open descriptors.
func descriptors(t *testing.T) int {
	count := 0
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			count++
		}
	}
	return count
}
