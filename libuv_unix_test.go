//go:build unix

package datagram_test

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

// untouched returns memory that reads as zeros and never becomes real, which what make returns often does.
func untouched(t *testing.T, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	return b
}

// R48. On 32 bits two pieces are more than an int can tell, and four come to nothing.
func TestLibuvHugePayloads(t *testing.T) {
	half := untouched(t, 1<<30)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	c := lazyConn(t)
	to := netip.AddrPortFrom(loopback4, 9)
	completed := make(chan error, 1)
	for name, bufs := range map[string]net.Buffers{"one": {half}, "two": {half, half}, "four": {half, half, half, half}} {
		_, err := c.TrySendBuffers(datagram.To(to, nil), bufs)
		if !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("TrySendBuffers of %s: %v", name, err)
		}
		err = c.SendBuffers(t.Context(), datagram.To(to, nil), bufs, func(err error) { completed <- err })
		if err == nil {
			err = awaitValue(t, completed, "the completion")
		} else if strconv.IntSize > 32 || len(bufs) == 1 {
			t.Errorf("SendBuffers of %s refused: %v", name, err)
		}
		checkErrno(t, err, syscall.EMSGSIZE)
	}
	n, err := c.TrySendBatch([]datagram.Datagram{datagram.To(to, half)})
	checkErrno(t, err, syscall.EMSGSIZE)
	if n != 0 || c.SendQueueSize() != 0 {
		t.Errorf("sent %d, queued %d bytes", n, c.SendQueueSize())
	}
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<28 {
		t.Errorf("%d MiB were allocated for what is never sent", grown>>20)
	}
}
