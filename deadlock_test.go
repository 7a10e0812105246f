package datagram_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
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
	c := conntest.Loopback(t, datagram.WithSendQueue(1, 1))
	to := datagram.To(conntest.AddrOf(conntest.Socket(t)), []byte("x"))
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
	await.Signal(t, "completion functions that send", ended)
}

func TestSendFromInsideAHandlerIntoAFullQueue(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithSendQueue(2, 1000))
	s := conntest.SocketTo(t, c)
	stop := rivals(c, datagram.To(conntest.AddrOf(conntest.Socket(t)), []byte("rival")))
	defer stop()
	const total = 100
	handled := 0
	conntest.WriteNumbers(t, s, 0, total)
	result := conntest.Serve(background, c, func(d datagram.Datagram) {
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
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)
}

// Sending what the handlers have queued must not become sending what others go on to queue.
func TestServeGoesOnWhileOthersSendWithoutPause(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	stop := rivals(c, datagram.To(conntest.AddrOf(conntest.Socket(t)), make([]byte, 100)))
	defer stop()
	handled := make(chan string, 1000) // more than come
	result := conntest.Serve(background, c, func(d datagram.Datagram) {
		if err := c.Send(background, d.Reply(d.Payload)); err != nil {
			t.Error(err)
		}
		handled <- string(d.Payload)
		d.Release()
	})
	for range 50 {
		conntest.WriteNumbers(t, s, 0, 4) // so that some are handled together
		for range 4 {
			await.Until(t, "the handler", func() bool { // the flood may displace what waits for a processor with it
				select {
				case <-handled:
					return true
				case <-time.After(50 * time.Millisecond):
					conntest.WriteNumbers(t, s, 0, 1)
					return false
				}
			})
		}
	}
	c.StopRecv()
	conntest.ExpectError(t, "Serve", await.Value(t, "Serve", result), nil)
}

// Nor does a Flush, or a Send that finds no room, go on for ever.
func TestCallsReturnWhileOthersSendWithoutPause(t *testing.T) {
	for _, queue := range []int{1, 16, 1024} {
		c := conntest.Loopback(t, datagram.WithSendQueue(queue, 1<<20))
		to := datagram.To(conntest.AddrOf(conntest.Socket(t)), make([]byte, 100))
		stop := rivals(c, to)
		await.Return(t, "Send and Flush", func() {
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
	c := conntest.Loopback(t, datagram.WithSendQueue(3, 1000))
	peer := conntest.Socket(t)
	conntest.Burst(t, c, func() {
		for range 50 {
			if err := c.Send(background, datagram.To(conntest.AddrOf(peer), []byte("x"))); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		conntest.ExpectRead(t, peer, "x")
	}
}

func TestHandlerThatWaitsForDone(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	conntest.Burst(t, c, func() {
		for range 3 { // not only the first of a batch
			completed := make(chan error, 1)
			err := c.SendFunc(background, datagram.To(conntest.AddrOf(peer), []byte("x")), func(err error) { completed <- err })
			if err != nil {
				t.Error(err)
			}
			conntest.ExpectError(t, "done", await.Value(t, "done inside a handler", completed), nil)
		}
	})
}

func TestHandlerThatWaitsForItsPeer(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	conntest.Burst(t, c, func() {
		for range 3 {
			if err := c.Send(background, datagram.To(conntest.AddrOf(peer), []byte("x"))); err != nil {
				t.Error(err)
			}
			conntest.ExpectRead(t, peer, "x")
		}
	})
}

func TestHandlerThatFlushes(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	conntest.Burst(t, c, func() {
		for range 3 {
			if err := c.Send(background, datagram.To(conntest.AddrOf(peer), []byte("x"))); err != nil {
				t.Error(err)
			}
			if err := c.Flush(background); err != nil {
				t.Error(err)
			}
			if n := c.SendQueueCount(); n != 0 {
				t.Errorf("%d queued after Flush", n)
			}
			conntest.ExpectRead(t, peer, "x")
		}
	})
}

// Somebody else's datagram does not wait for a handler that takes its time.
func TestOthersSendWhileAHandlerRuns(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	conntest.Burst(t, c, func() {
		for range 3 {
			await.Closed(t, "Send beside a handler", await.Go(func() {
				if err := c.Send(background, datagram.To(conntest.AddrOf(peer), []byte("x"))); err != nil {
					t.Error(err)
				}
			}))
			conntest.ExpectRead(t, peer, "x")
		}
	})
}

// A completion function may use everything else too.
func TestMethodsFromInsideDone(t *testing.T) {
	c := conntest.Loopback(t)
	to := datagram.To(conntest.AddrOf(conntest.Socket(t)), []byte("x"))
	c.Recv()
	ended := make(chan struct{})
	err := c.SendFunc(background, to, func(error) {
		defer close(ended)
		conntest.ExpectError(t, "Flush", c.Flush(background), nil)
		conntest.ExpectError(t, "TryQueue", c.TryQueue(to), nil)
		conntest.ExpectError(t, "Flush", c.Flush(background), nil)
		_, err := c.TrySend(to)
		conntest.ExpectError(t, "TrySend", err, nil)
		conntest.ExpectError(t, "StopRecv", c.StopRecv(), nil)
		conntest.ExpectError(t, "SetTTL", c.SetTTL(3), nil)
		c.Recv()
		c.Stats()
		conntest.ExpectError(t, "Close", c.Close(), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Signal(t, "the completion function", ended)
	await.Closed(t, "Done", c.Done())
}
