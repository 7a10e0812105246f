package systemtest_test

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
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
	testenv.AllOffloads(t)
	c := conntest.Loopback(t, unchecked())
	peer := conntest.Socket(t)
	const total = 50
	completed := make(chan error, total)
	conntest.Burst(t, c, func() {
		for i := range total {
			err := c.SendFunc(background, datagram.To(conntest.AddrOf(peer), fmt.Appendf(nil, "%03d", i)), func(err error) { completed <- err })
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := range total {
		conntest.ExpectRead(t, peer, fmt.Sprintf("%03d", i))
		conntest.ExpectError(t, "done", await.Value(t, "done", completed), nil)
	}
	var ds []datagram.Datagram
	for i := range total {
		ds = append(ds, datagram.To(conntest.AddrOf(peer), fmt.Appendf(nil, "%03d", i)))
	}
	if n, err := c.TrySendBatch(ds); n != total || err != nil {
		t.Errorf("TrySendBatch: %d, %v", n, err)
	}
	for i := range total {
		conntest.ExpectRead(t, peer, fmt.Sprintf("%03d", i))
	}
	if s := c.Stats(); s.Sent != 2*total || s.SendErrors != 0 || s.Retries == 0 || s.Fallbacks == 0 {
		t.Errorf("%+v, want %d sent, no errors, some retries and fallbacks", s, 2*total)
	}
}

// Where there is no sendmmsg either, the first that leaves alone tells as much as many.
func TestRefusedSegmentationWithoutBatchCalls(t *testing.T) {
	withoutBatchCalls(t, func(t *testing.T, denied string) {
		c := conntest.Loopback(t, unchecked())
		peer := conntest.Socket(t)
		expectBatch(t, c, stretchOf(conntest.AddrOf(peer), 0, 10))
		for _, d := range stretchOf(conntest.AddrOf(peer), 0, 10) {
			conntest.ExpectRead(t, peer, string(d.Payload))
		}
		if s := c.Stats(); s.Retries != 1 || s.Fallbacks != 1 {
			t.Errorf("%d retries, %d fallbacks without %s, want 1", s.Retries, s.Fallbacks, denied)
		}
		if gso := c.Capabilities().GSO; !gso.Active || !strings.Contains(gso.Reason, unix.EINVAL.Error()) {
			t.Errorf("GSO %v, want it on, but for a destination because of EINVAL", gso)
		}
	})
}

// Datagrams are grouped by destination for as long as segmentation is on, whatever it was when the socket was made.
func TestSegmentationTurnedOnLaterGroups(t *testing.T) {
	testenv.AllOffloads(t)
	peers := []netip.AddrPort{conntest.AddrOf(conntest.Socket(t)), conntest.AddrOf(conntest.Socket(t)), conntest.AddrOf(conntest.Socket(t)), conntest.AddrOf(conntest.Socket(t))}
	c := conntest.New(t)
	c.SetSegmentation(false)
	conntest.ExpectError(t, "Bind", c.Bind(background, "udp4", "127.0.0.1:0"), nil)
	c.SetSegmentation(true)
	const total, alone = 400, 25 // system calls for so many at 16 messages each, one for each datagram
	// The queue may be drained while it is filled, if that takes long. Then there are more.
	await.Until(t, "there are fewer system calls than for datagrams by themselves", func() bool {
		before := c.Stats().SendCalls
		conntest.Burst(t, c, func() {
			for i := range total {
				if err := c.Send(background, datagram.To(peers[i%len(peers)], []byte("grouped"))); err != nil {
					t.Error(err)
				}
			}
		})
		conntest.ExpectError(t, "Flush", c.Flush(background), nil)
		return c.Stats().SendCalls-before < alone
	})
}
