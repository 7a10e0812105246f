package datagram_test

import (
	"context"
	"sync"
	"testing"

	"example.com/datagram"
)

// rivals keep the queue of c full until the returned function is called.
func rivals(c *datagram.Conn, d datagram.Datagram) (stop func()) {
	ctx, cancel := context.WithCancel(background)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for c.Send(ctx, d) == nil {
			}
		})
	}
	return func() {
		cancel()
		group.Wait()
	}
}

func TestSendFromInsideDoneIntoAFullQueue(t *testing.T) {
	c := loopback(t, datagram.WithSendQueue(1, 1))
	to := datagram.To(addrOf(unboundSocket(t)), []byte("x"))
	stop := rivals(c, to)
	defer stop()
	const chain = 200
	ended := make(chan struct{})
	var next func(i int) func(error)
	next = func(i int) func(error) {
		return func(err error) {
			if err != nil {
				t.Error(err)
			}
			if i == chain {
				close(ended)
				return
			}
			for range 3 { // each finds the queue full
				if err := c.Send(background, to); err != nil {
					t.Error(err)
				}
			}
			if err := c.SendFunc(background, to, next(i+1)); err != nil {
				t.Error(err)
			}
		}
	}
	if err := c.SendFunc(background, to, next(0)); err != nil {
		t.Fatal(err)
	}
	await(t, "completion functions that send", ended)
}

func TestSendFromInsideAHandlerIntoAFullQueue(t *testing.T) {
	c := loopback(t, datagram.WithSendQueue(2, 1000))
	s := plainSocket(t, c)
	stop := rivals(c, datagram.To(addrOf(unboundSocket(t)), []byte("rival")))
	defer stop()
	const total = 100
	handled := 0
	writeNumbers(t, s, 0, total)
	result := serving(background, c, func(d datagram.Datagram) {
		for range 5 {
			if err := c.Send(background, d.Reply(d.Payload)); err != nil {
				t.Error(err)
			}
		}
		d.Release()
		if handled++; handled == total {
			c.StopRecv()
		}
	})
	expectError(t, "Serve", await(t, "Serve", result), nil)
}

// Sending what the handlers have queued must not become sending what others go on to queue.
func TestServeGoesOnWhileOthersSendWithoutPause(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	stop := rivals(c, datagram.To(addrOf(unboundSocket(t)), make([]byte, 100)))
	defer stop()
	handled := make(chan string)
	result := serving(background, c, func(d datagram.Datagram) {
		if err := c.Send(background, d.Reply(d.Payload)); err != nil {
			t.Error(err)
		}
		handled <- string(d.Payload)
		d.Release()
	})
	for range 50 {
		writeNumbers(t, s, 0, 4) // so that some are handled together
		for range 4 {
			await(t, "the handler", handled)
		}
	}
	c.StopRecv()
	expectError(t, "Serve", await(t, "Serve", result), nil)
}

// Nor does a Flush, or a Send that finds no room, go on for ever.
func TestCallsReturnWhileOthersSendWithoutPause(t *testing.T) {
	for _, queue := range []int{1, 16, 1024} {
		c := loopback(t, datagram.WithSendQueue(queue, 1<<20))
		to := datagram.To(addrOf(unboundSocket(t)), make([]byte, 100))
		stop := rivals(c, to)
		finishes(t, "Send and Flush", func() {
			for range 100 {
				if err := c.Send(background, to); err != nil {
					t.Error(err)
				}
				if err := c.Flush(background); err != nil {
					t.Error(err)
				}
			}
		})
		stop()
	}
}

// The handler is the only one that could make room.
func TestHandlerFillsTheQueueItself(t *testing.T) {
	c := loopback(t, datagram.WithSendQueue(3, 1000))
	peer := unboundSocket(t)
	serveBurst(t, c, func() {
		for range 50 {
			if err := c.Send(background, datagram.To(addrOf(peer), []byte("x"))); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		expectText(t, peer, "x")
	}
}

func TestHandlerThatWaitsForDone(t *testing.T) {
	c := loopback(t)
	peer := unboundSocket(t)
	serveBurst(t, c, func() {
		for range 3 { // not only the first of a batch
			completed := make(chan error, 1)
			err := c.SendFunc(background, datagram.To(addrOf(peer), []byte("x")), func(err error) { completed <- err })
			if err != nil {
				t.Error(err)
			}
			expectError(t, "done", await(t, "done inside a handler", completed), nil)
		}
	})
}

func TestHandlerThatWaitsForItsPeer(t *testing.T) {
	c := loopback(t)
	peer := unboundSocket(t)
	serveBurst(t, c, func() {
		for range 3 {
			if err := c.Send(background, datagram.To(addrOf(peer), []byte("x"))); err != nil {
				t.Error(err)
			}
			expectText(t, peer, "x")
		}
	})
}

func TestHandlerThatFlushes(t *testing.T) {
	c := loopback(t)
	peer := unboundSocket(t)
	serveBurst(t, c, func() {
		for range 3 {
			if err := c.Send(background, datagram.To(addrOf(peer), []byte("x"))); err != nil {
				t.Error(err)
			}
			if err := c.Flush(background); err != nil {
				t.Error(err)
			}
			if n := c.SendQueueCount(); n != 0 {
				t.Errorf("%d queued after Flush", n)
			}
			expectText(t, peer, "x")
		}
	})
}

// Somebody else's datagram does not wait for a handler that takes its time.
func TestOthersSendWhileAHandlerRuns(t *testing.T) {
	c := loopback(t)
	peer := unboundSocket(t)
	serveBurst(t, c, func() {
		for range 3 {
			await(t, "Send beside a handler", starts(func() {
				if err := c.Send(background, datagram.To(addrOf(peer), []byte("x"))); err != nil {
					t.Error(err)
				}
			}))
			expectText(t, peer, "x")
		}
	})
}

// A completion function may use everything else too.
func TestMethodsFromInsideDone(t *testing.T) {
	c := loopback(t)
	to := datagram.To(addrOf(unboundSocket(t)), []byte("x"))
	c.Recv()
	ended := make(chan struct{})
	err := c.SendFunc(background, to, func(error) {
		defer close(ended)
		expectError(t, "Flush", c.Flush(background), nil)
		expectError(t, "TryQueue", c.TryQueue(to), nil)
		expectError(t, "Flush", c.Flush(background), nil)
		_, err := c.TrySend(to)
		expectError(t, "TrySend", err, nil)
		expectError(t, "StopRecv", c.StopRecv(), nil)
		expectError(t, "SetTTL", c.SetTTL(3), nil)
		c.Recv()
		c.Stats()
		expectError(t, "Close", c.Close(), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the completion function", ended)
	await(t, "Done", c.Done())
}
