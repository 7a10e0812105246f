package datagram_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"example.com/datagram"
)

// Whoever waits for the queue when the handle is closed is told so.
func TestCloseEndsWaitingCalls(t *testing.T) {
	for _, queued := range []int{2, 600} { // within one block of the queue and beyond
		c, _, _ := stalled(t, datagram.WithSendQueue(queued, 1000))
		for range queued {
			mustQueue(t, c, "x")
		}
		results := map[string]chan error{
			"Send": make(chan error, 1), "Flush": make(chan error, 1), "Shutdown": make(chan error, 1),
		}
		go func() { results["Send"] <- c.Send(background, unaddressed("y")) }()
		go func() { results["Flush"] <- c.Flush(background) }()
		notYet(t, "Send into a full queue", results["Send"])
		notYet(t, "Flush", results["Flush"])
		finishes(t, "Close", func() { expectError(t, "Close", c.Close(), nil) })
		for _, name := range []string{"Send", "Flush"} {
			expectError(t, name, await(t, name, results[name]), net.ErrClosed)
		}

		c, _, _ = stalled(t)
		mustQueue(t, c, "x")
		go func() { results["Shutdown"] <- c.Shutdown(background) }()
		notYet(t, "Shutdown", results["Shutdown"])
		finishes(t, "Close", func() { expectError(t, "Close", c.Close(), nil) })
		expectError(t, "Shutdown", await(t, "Shutdown", results["Shutdown"]), net.ErrClosed)
	}
}

func TestCloseReturnsWhenThePortIsFree(t *testing.T) {
	for range 50 {
		c := loopback(t)
		addr := c.LocalAddr()
		c.Recv()
		c.Send(background, datagram.To(addr, []byte("to itself")))
		finishes(t, "Close", func() { expectError(t, "Close", c.Close(), nil) })
		again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	}
}

// Close waits for no callback, so each of them may call it; Done does.
func TestCloseInsideCallbacks(t *testing.T) {
	t.Run("done", func(t *testing.T) {
		c := loopback(t)
		to := datagram.To(addrOf(unboundSocket(t)), nil)
		closing, proceed := make(chan struct{}), make(chan struct{})
		err := c.SendFunc(background, to, func(error) {
			expectError(t, "Close", c.Close(), nil)
			close(closing)
			<-proceed
		})
		if err != nil {
			t.Fatal(err)
		}
		await(t, "Close inside done", closing)
		notYet(t, "Done while done runs", c.Done())
		close(proceed)
		await(t, "Done", c.Done())
	})
	t.Run("the handler of Serve", func(t *testing.T) {
		c := loopback(t)
		s := plainSocket(t, c)
		closing, proceed := make(chan struct{}), make(chan struct{})
		result := serving(background, c, func(datagram.Datagram) {
			expectError(t, "Close", c.Close(), nil)
			close(closing)
			<-proceed
		})
		writeNumbers(t, s, 0, 1)
		await(t, "Close inside a handler", closing)
		notYet(t, "Done while a handler runs", c.Done())
		close(proceed)
		await(t, "Done", c.Done())
		expectError(t, "Serve", await(t, "Serve", result), net.ErrClosed)
	})
	t.Run("the error handler", func(t *testing.T) {
		conns, closing, proceed := make(chan *datagram.Conn, 1), make(chan struct{}), make(chan struct{})
		c := loopback(t, datagram.WithErrorHandler(func(error) {
			c := <-conns
			expectError(t, "Close", c.Close(), nil)
			close(closing)
			<-proceed
		}))
		conns <- c
		to := addrOf(unboundSocket(t))
		c.Send(background, datagram.To(to, make([]byte, 65_508)))
		await(t, "Close inside the error handler", closing)
		notYet(t, "Done while the error handler runs", c.Done())
		close(proceed)
		await(t, "Done", c.Done())
	})
	t.Run("a reader", func(t *testing.T) {
		c := loopback(t)
		s := plainSocket(t, c)
		reading := starts(func() {
			for range c.Recv() {
				c.Close()
			}
		})
		writeNumbers(t, s, 0, 1)
		await(t, "the reader", reading)
		await(t, "Done", c.Done())
	})
}

// A handler that never returns keeps Done, not Close.
func TestCloseDoesNotWaitForCallbacks(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	var inside sync.WaitGroup
	inside.Add(2)
	proceed := make(chan struct{})
	result := serving(background, c, func(datagram.Datagram) {
		inside.Done()
		<-proceed
	})
	writeNumbers(t, s, 0, 1)
	err := c.SendFunc(background, datagram.To(addrOf(unboundSocket(t)), nil), func(error) {
		inside.Done()
		<-proceed
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "both callbacks", starts(inside.Wait))
	finishes(t, "Close", func() { c.Close() })
	notYet(t, "Done", c.Done())
	close(proceed)
	await(t, "Done", c.Done())
	expectError(t, "Serve", await(t, "Serve", result), net.ErrClosed)
}

func TestCloseTwiceAndAtOnce(t *testing.T) {
	c := loopback(t)
	c.Recv()
	results := make(chan error, 8)
	for range cap(results) {
		go func() { results <- c.Close() }()
	}
	succeeded := 0
	for range cap(results) {
		if err := await(t, "Close", results); err == nil {
			succeeded++
		} else if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if succeeded != 1 {
		t.Errorf("%d of %d succeeded, want 1", succeeded, cap(results))
	}
	await(t, "Done", c.Done())

	fresh, err := datagram.New()
	if err != nil {
		t.Fatal(err)
	}
	expectError(t, "Close without a socket", fresh.Close(), nil)
	await(t, "Done", fresh.Done())
	expectError(t, "Close again", fresh.Close(), net.ErrClosed)
}

// What lies in the channel at Close stays readable; what did not fit is dropped and counted.
func TestCloseKeepsTheChannelReadable(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(3, datagram.Block))
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 30)
	ch := c.Recv()
	eventually(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	c.Close()
	await(t, "Done", c.Done())
	before := c.Stats()
	if before.Held != 3 || before.Delivered != 0 || before.CloseDrops != before.Received-3 {
		t.Errorf("%+v, want 3 held, none delivered", before)
	}
	expectNumbers(t, ch, 0, 3)
	expectClosed(t, ch)
	after := c.Stats()
	if after.Held != 0 || after.Delivered != 3 || after.CloseDrops != before.CloseDrops {
		t.Errorf("%+v, want 3 delivered", after)
	}
}

// What StopRecv left behind is not readable by anybody after Close, but for the channel.
func TestCloseAfterStopRecv(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(3, datagram.Block))
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 30)
	ch := c.Recv()
	eventually(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	c.StopRecv()
	c.Close()
	await(t, "Done", c.Done())
	if c.Recv() != ch {
		t.Error("not the last channel")
	}
	expectNumbers(t, ch, 0, 3)
	expectClosed(t, ch)
	if s := c.Stats(); s.Held != 0 || s.Delivered != 3 || s.CloseDrops != s.Received-3 {
		t.Errorf("%+v, want 3 delivered and the rest dropped", s)
	}
}

// Nobody is called who was not accepted, nor after Done.
func TestCloseWhileOthersSend(t *testing.T) {
	start := time.Now()
	for round := 0; round < 20 && time.Since(start) < time.Second; round++ {
		c := loopback(t, datagram.WithSendQueue(8, 1000))
		to := datagram.To(addrOf(unboundSocket(t)), []byte("x"))
		var mu sync.Mutex
		accepted, completed, ended := 0, 0, false
		var senders sync.WaitGroup
		started := make(chan struct{}, 4)
		for range 4 {
			senders.Go(func() {
				for i := 0; ; i++ {
					err := c.SendFunc(background, to, func(err error) {
						mu.Lock()
						defer mu.Unlock()
						if completed++; ended {
							t.Error("done after Done")
						}
						if err != nil && !errors.Is(err, net.ErrClosed) {
							t.Error(err)
						}
					})
					if err != nil {
						expectError(t, "SendFunc", err, net.ErrClosed)
						return
					}
					mu.Lock()
					accepted++
					mu.Unlock()
					if i == 10 {
						started <- struct{}{}
					}
				}
			})
		}
		for range 4 {
			await(t, "the senders", started)
		}
		c.Close()
		await(t, "Done", c.Done())
		mu.Lock()
		ended = true
		mu.Unlock()
		await(t, "the senders", starts(senders.Wait))
		mu.Lock()
		if accepted != completed || uint64(accepted) != c.Stats().Accepted {
			t.Errorf("%d accepted, %d completed, %+v", accepted, completed, c.Stats())
		}
		mu.Unlock()
	}
}
