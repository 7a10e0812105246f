package datagram_test

import (
	"fmt"
	"testing"

	"example.com/datagram"
)

// A stranger is whoever is not the peer. What strangers sent before Connect is
// dropped wherever it lies: in the channel, behind it, or in the system.
func TestConnectFindsStrangersWhereverTheyLie(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(4, datagram.Block))
	peer, stranger := plainSocket(t, c), plainSocket(t, c)
	const total = 40
	for i := range total {
		s := peer
		if i%2 == 1 {
			s = stranger
		}
		writeNumbers(t, s, i, i+1)
	}
	ch := c.Recv()
	eventually(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	writeNumbers(t, stranger, total, total+5) // with the reader that slow these are still in the system
	if err := c.Connect(addrOf(peer)); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the system keeps them out now, and says so
		_, _ = stranger.Write([]byte("kept out"))
	}
	writeNumbers(t, peer, 2000, 2001)
	for i := 0; i < total; i += 2 {
		d := await(t, "a datagram", ch)
		if string(d.Payload) != fmt.Sprint(i) || d.Addr != addrOf(peer) {
			t.Fatalf("received %q from %v, want %d from the peer", d.Payload, d.Addr, i)
		}
		if d.Reply(nil).Addr.IsValid() {
			t.Fatal("the reply to the peer of a connected handle has an address")
		}
		d.Release()
	}
	expectNumbers(t, ch, 2000, 2001)
	if s := c.Stats(); s.PolicyDrops != total/2+5 || s.Delivered != total/2+1 || s.Held != 0 {
		t.Errorf("%+v, want %d PolicyDrops, %d Delivered", s, total/2+5, total/2+1)
	}
}

func TestConnectWhileStoppedOrServing(t *testing.T) {
	c := loopback(t)
	peer, stranger := plainSocket(t, c), plainSocket(t, c)
	c.Recv()
	writeNumbers(t, stranger, 0, 1)
	writeNumbers(t, peer, 1, 2)
	held(t, c, 2)
	c.StopRecv()
	writeNumbers(t, stranger, 2, 3)
	writeNumbers(t, peer, 3, 4)
	if err := c.Connect(addrOf(peer)); err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 10)
	result := serving(background, c, noting(handled))
	for _, want := range []string{"1", "3"} {
		if got := await(t, "the handler", handled); got != want {
			t.Errorf("handled %q, want %q", got, want)
		}
	}
	// Disconnected the handle hears strangers again.
	if err := c.Disconnect(); err != nil {
		t.Fatal(err)
	}
	writeNumbers(t, stranger, 4, 5)
	if got := await(t, "the handler", handled); got != "4" {
		t.Errorf("handled %q, want 4", got)
	}
	c.StopRecv()
	await(t, "Serve", result)
	if s := c.Stats(); s.PolicyDrops != 2 {
		t.Errorf("PolicyDrops is %d, want 2", s.PolicyDrops)
	}
}

// A handler of Serve may connect: what strangers sent together with what it handles is dropped.
func TestConnectInsideAHandler(t *testing.T) {
	c := loopback(t)
	peer, stranger := plainSocket(t, c), plainSocket(t, c)
	writeNumbers(t, peer, 0, 1)
	writeNumbers(t, stranger, 1, 3)
	writeNumbers(t, peer, 3, 4)
	handled := make(chan string, 10)
	result := serving(background, c, func(d datagram.Datagram) {
		if string(d.Payload) == "0" {
			if err := c.Connect(d.Addr); err != nil {
				t.Error(err)
			}
		}
		handled <- string(d.Payload)
	})
	for _, want := range []string{"0", "3"} {
		if got := await(t, "the handler", handled); got != want {
			t.Errorf("handled %q, want %q", got, want)
		}
	}
	c.StopRecv()
	await(t, "Serve", result)
	if s := c.Stats(); s.PolicyDrops != 2 {
		t.Errorf("PolicyDrops is %d, want 2", s.PolicyDrops)
	}
}

// A datagram that was queued for one peer goes to it also when the handle is connected to
// another, or to none, by the time it leaves.
func TestQueuedDatagramGoesWhereItWasAccepted(t *testing.T) {
	c := loopback(t)
	first, second := unboundSocket(t), unboundSocket(t)
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	serveBurst(t, c, func() { // nothing leaves before it returns
		check(c.TryQueue(datagram.To(addrOf(second), []byte("unconnected"))))
		check(c.Connect(addrOf(first)))
		check(c.TryQueue(unaddressed("connected to the first")))
		check(c.Disconnect())
		check(c.Connect(addrOf(second)))
		check(c.TryQueue(unaddressed("connected to the second")))
	})
	expectText(t, first, "connected to the first")
	expectText(t, second, "unconnected")
	expectText(t, second, "connected to the second")
	expectError(t, "Flush", c.Flush(background), nil)
	if s := c.Stats(); s.SendErrors != 0 || s.Sent != 3 {
		t.Errorf("%+v, want 3 sent", s)
	}
}
