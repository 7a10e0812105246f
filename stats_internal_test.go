package datagram

import (
	"testing"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

// What went into the channel while the receiver waited for room counts in the next snapshot, not in a later one.
func TestSnapshotWhileTheReceiverHands(t *testing.T) {
	c, err := Listen(t.Context(), "udp4", "127.0.0.1:0", WithRecvQueue(1, Block))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ch := c.Recv()
	for range 2 {
		if _, err := c.socket().Send([]socket.Outgoing{{Addr: c.LocalAddr()}}, false); err != nil {
			t.Fatal(err)
		}
	}
	r := &c.recv
	for waits := false; !waits; {
		r.mu.Lock()
		if waits = r.offering; !waits {
			r.mu.Unlock()
		}
	}
	<-ch
	ctx := await.Context(t)
	for len(ch) == 0 && ctx.Err() == nil { // the receiver hands the second over, and waits for mu
	}
	r.mu.Unlock()
	if s := c.Stats(); s.Delivered != 1 || s.Held != 1 {
		t.Errorf("Delivered %d, Held %d, want 1 each", s.Delivered, s.Held)
	}
}
