package datagram_test

import (
	"testing"
	"time"

	"example.com/datagram"
)

// What waited in the system for longer than the limit is dropped, what is fresh is not.
func TestWithMaxAge(t *testing.T) {
	const limit = 50 * time.Millisecond
	c := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithMaxAge(limit))
	sender := boundConn(t, "udp4", "127.0.0.1:0")
	send := func(payload string) {
		if _, err := sender.TrySend(datagram.To(c.LocalAddr(), []byte(payload))); err != nil {
			t.Fatal(err)
		}
	}
	send("stale")
	send("stale too")
	<-time.After(2 * limit) // the subject of the test is time
	c.Recv()
	// However slow the machine, of enough fresh ones one is delivered in time.
	for deadline := time.Now().Add(10 * time.Second); ; {
		send("fresh")
		select {
		case d := <-c.Recv():
			if string(d.Payload) != "fresh" || d.Meta.Time.IsZero() {
				t.Errorf("%q of %v", d.Payload, d.Meta.Time)
			}
			if s := c.Stats(); s.StaleDrops < 2 || s.Received != s.Delivered+s.StaleDrops+s.Held {
				t.Errorf("%v", s)
			}
			return
		case <-time.After(limit):
			if time.Now().After(deadline) {
				t.Fatal("nothing was delivered")
			}
		}
	}
}
