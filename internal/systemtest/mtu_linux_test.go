package systemtest_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// A link takes packets of 1,500 bytes.
func TestWithDontFragment(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far, f.network, ":0")
		to := at(f.far, receiver)
		small, big := bytes.Repeat([]byte("s"), 1400), bytes.Repeat([]byte("b"), 2000)

		fragmenting := listenIn(t, l.near, f.network, ":0")
		conntest.Send(t, fragmenting, datagram.To(to, big))
		conntest.Expect(t, receiver, string(big))

		whole := listenIn(t, l.near, f.network, ":0", datagram.WithDontFragment())
		if err := conntest.Outcome(t, whole, datagram.To(to, big)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("2,000 bytes: %v, want EMSGSIZE", err)
		}
		// In the middle of a batch that the system segments it fails itself alone.
		for _, payload := range [][]byte{small, small, big, small} {
			if err := whole.Send(t.Context(), datagram.To(to, payload)); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			conntest.Expect(t, receiver, string(small))
		}
		if err := whole.Flush(await.Context(t)); err != nil {
			t.Fatal(err)
		}
		if s := whole.Stats(); s.Sent != 3 || s.SendErrors != 2 {
			t.Errorf("sent %d, failed %d; want 3, 2", s.Sent, s.SendErrors)
		}
	})
}

func TestPathMTU(t *testing.T) {
	l := newLAN(t)
	eachFamily(t, func(t *testing.T, f family) {
		receiver := listenIn(t, l.far, f.network, ":0")
		c := listenIn(t, l.near, f.network, ":0")
		if _, err := c.PathMTU(); !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("unconnected: %v, want ENOTCONN", err)
		}
		if err := c.Connect(at(f.far, receiver)); err != nil {
			t.Fatal(err)
		}
		if mtu, err := c.PathMTU(); mtu != 1500 || err != nil {
			t.Errorf("%d, %v; want 1500", mtu, err)
		}
	})
}
