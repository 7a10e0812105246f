package datagram_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
)

// unchecked makes a socket for which Linux does not segment.
func unchecked() datagram.Option {
	return datagram.WithControl(func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1)
		}); e != nil {
			return e
		}
		return err
	})
}

// Linux refuses to segment for a socket without checksums (EINVAL). What it refuses
// together leaves one by one, and nobody notices.
func TestRefusedSegmentationFailsNoDatagram(t *testing.T) {
	allOffloads(t)
	c := loopback(t, unchecked())
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
	if s := c.Stats(); s.Sent != 2*total || s.SendErrors != 0 || s.Retries == 0 || s.Fallbacks == 0 {
		t.Errorf("%+v, want %d sent, no errors, some retries and fallbacks", s, 2*total)
	}
}

// Where there is no sendmmsg either, the first that leaves alone tells as much as many.
func TestRefusedSegmentationWithoutBatchCalls(t *testing.T) {
	withoutBatchCalls(t, func(t *testing.T, denied string) {
		c := loopback(t, unchecked())
		peer := unboundSocket(t)
		expectBatch(t, c, stretchOf(addrOf(peer), 0, 10))
		for _, d := range stretchOf(addrOf(peer), 0, 10) {
			expectText(t, peer, string(d.Payload))
		}
		if s := c.Stats(); s.Retries != 1 || s.Fallbacks != 1 {
			t.Errorf("%d retries, %d fallbacks without %s, want 1", s.Retries, s.Fallbacks, denied)
		}
		if gso := c.Capabilities().GSO; !gso.Active || !strings.Contains(gso.Reason, unix.EINVAL.Error()) {
			t.Errorf("GSO %v, want it on, but for a destination because of EINVAL", gso)
		}
	})
}
