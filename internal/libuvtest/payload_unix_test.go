//go:build unix

package libuvtest_test

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// R48. On 32 bits two pieces are more than an int can tell, and four come to nothing.
func TestLibuvHugePayloads(t *testing.T) {
	half := conntest.Untouched(t, 1<<30)
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	c := conntest.New(t)
	to := netip.AddrPortFrom(conntest.Localhost4, 9)
	completed := make(chan error, 1)
	for name, bufs := range map[string]net.Buffers{"one": {half}, "two": {half, half}, "four": {half, half, half, half}} {
		_, err := c.TrySendBuffers(datagram.To(to, nil), bufs)
		if !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("TrySendBuffers of %s: %v", name, err)
		}
		err = c.SendBuffers(t.Context(), datagram.To(to, nil), bufs, func(err error) { completed <- err })
		if err == nil {
			err = await.Value(t, "the completion", completed)
		} else if strconv.IntSize > 32 || len(bufs) == 1 {
			t.Errorf("SendBuffers of %s refused: %v", name, err)
		}
		conntest.CheckErrno(t, err, syscall.EMSGSIZE)
	}
	n, err := c.TrySendBatch([]datagram.Datagram{datagram.To(to, half)})
	conntest.CheckErrno(t, err, syscall.EMSGSIZE)
	if n != 0 || c.SendQueueSize() != 0 {
		t.Errorf("sent %d, queued %d bytes", n, c.SendQueueSize())
	}
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<28 {
		t.Errorf("%d MiB were allocated for what is never sent", grown>>20)
	}
}
