package datagram_test

import (
	"fmt"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

// Linux refuses to segment for a socket without checksums (EINVAL). What it refuses
// together leaves one by one, and nobody notices.
func TestRefusedSegmentationFailsNoDatagram(t *testing.T) {
	c := loopback(t, datagram.WithControl(func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
		}); e != nil {
			return e
		}
		return err
	}))
	peer := unboundSocket(t)
	const total = 50
	completed := make(chan error, total)
	serveBurst(t, c, func() {
		for i := range total {
			err := c.SendFunc(background, datagram.To(addrOf(peer), fmt.Appendf(nil, "%03d", i)), func(err error) { completed <- err })
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := range total {
		expectText(t, peer, fmt.Sprintf("%03d", i))
		expectError(t, "done", await(t, "done", completed), nil)
	}
	var ds []datagram.Datagram
	for i := range total {
		ds = append(ds, datagram.To(addrOf(peer), fmt.Appendf(nil, "%03d", i)))
	}
	if n, err := c.TrySendBatch(ds); n != total || err != nil {
		t.Errorf("TrySendBatch: %d, %v", n, err)
	}
	for i := range total {
		expectText(t, peer, fmt.Sprintf("%03d", i))
	}
	if s := c.Stats(); s.Sent != 2*total || s.SendErrors != 0 || s.Retries == 0 {
		t.Errorf("%+v, want %d sent, no errors and some retries", s, 2*total)
	}
}
