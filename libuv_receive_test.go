package datagram_test

import (
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram"
)

// R12.
func TestLibuvManyAtOnce(t *testing.T) {
	for _, serve := range []bool{false, true} {
		c, sender := boundConn(t, "udp4", "127.0.0.1:0"), lazyConn(t)
		for range 40 {
			mustSend(t, sender, datagram.To(c.LocalAddr(), []byte("PING")))
		}
		check := func(d datagram.Datagram) {
			if string(d.Payload) != "PING" || d.Addr.Port() != sender.LocalAddr().Port() || d.Partial {
				t.Errorf("received %q from %v, partial %v", d.Payload, d.Addr, d.Partial)
			}
			d.Release()
		}
		if !serve {
			for range 40 {
				check(awaitValue(t, c.Recv(), "one of 40"))
			}
		} else {
			n := 0
			inTime(t, "Serve", func() {
				err := c.Serve(t.Context(), func(d datagram.Datagram) {
					check(d)
					if n++; n == 40 {
						_ = c.StopRecv()
					}
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		s := c.Stats()
		if s.Received != 40 || s.ReceivedBytes != 160 || s.Delivered != 40 || s.Held != 0 {
			t.Errorf("received %d of %d bytes, delivered %d, held %d", s.Received, s.ReceivedBytes, s.Delivered, s.Held)
		}
		if c.Capabilities().Batch.Active && s.ReceiveCalls >= 40 {
			t.Errorf("%d system calls received 40 datagrams that were waiting", s.ReceiveCalls)
		}
	}
}

// R13.
func TestLibuvSmallBuffer(t *testing.T) {
	c, sender := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithMaxDatagramSize(2)), lazyConn(t)
	mustSend(t, sender, datagram.To(c.LocalAddr(), []byte("PING")))
	if d := awaitPayload(t, c, "PI"); !d.Partial {
		t.Error("what was cut is not Partial")
	}
}

// R14.
func TestLibuvNothingButTheDatagram(t *testing.T) {
	c, sender := boundConn(t, "udp4", "127.0.0.1:0"), lazyConn(t)
	mustSend(t, sender, datagram.To(c.LocalAddr(), []byte("PING")))
	awaitPayload(t, c, "PING")
	if err := c.StopRecv(); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.Received != 1 || s.Delivered != 1 || s.ReceiveErrors != 0 || s.ReceiveCalls != 1 {
		t.Errorf("received %d in %d calls, delivered %d, %d errors", s.Received, s.ReceiveCalls, s.Delivered, s.ReceiveErrors)
	}
}

// R26. On other systems than Linux a connected handle reports the refusal.
func TestLibuvCloseOnReceiveError(t *testing.T) {
	for _, networkErrors := range []bool{false, true} {
		if networkErrors && runtime.GOOS != "linux" {
			skip(t, "network errors are for Linux")
		}
		var calls atomic.Int64
		closed := make(chan error, 1)
		var c *datagram.Conn
		opts := []datagram.Option{datagram.WithErrorHandler(func(err error) {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("reported was %v", err)
			}
			if calls.Add(1) == 1 {
				closed <- c.Close()
			}
		})}
		if networkErrors {
			opts = append(opts, datagram.WithNetworkErrors())
		}
		c = boundConn(t, "udp4", "0.0.0.0:0", opts...)
		if err := c.Connect(deadAddr(t, "127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
		ch := c.Recv()
		mustSend(t, c, datagram.Datagram{Payload: []byte("PING")})
		if err := awaitValue(t, closed, "the refusal"); err != nil {
			t.Error(err)
		}
		awaitClosed(t, ch, "the channel")
		awaitClosed(t, c.Done(), "the handle")
		if n := calls.Load(); n != 1 {
			t.Errorf("the error was reported %d times", n)
		}
	}
}

// R27.
func TestLibuvCloseOnSendError(t *testing.T) {
	for _, opts := range [][]datagram.Option{nil, {datagram.WithNetworkErrors()}} {
		if opts != nil && runtime.GOOS != "linux" {
			skip(t, "network errors are for Linux")
		}
		c := boundConn(t, "udp4", "0.0.0.0:0", opts...)
		if err := c.Connect(deadAddr(t, "127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		closed := make(chan error, 1)
		err := c.SendFunc(t.Context(), datagram.Datagram{Payload: []byte("PING")}, func(error) {
			calls.Add(1)
			closed <- c.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := awaitValue(t, closed, "the completion"); err != nil {
			t.Error(err)
		}
		awaitClosed(t, c.Done(), "the handle")
		if calls.Load() != 1 {
			t.Errorf("it was completed %d times", calls.Load())
		}
	}
}

// R28.
func TestLibuvReceiveInARow(t *testing.T) {
	c, sender := boundConn(t, "udp4", "127.0.0.1:0"), lazyConn(t)
	for range 4 {
		mustSend(t, sender, datagram.To(c.LocalAddr(), []byte("0123456789")))
	}
	mustSend(t, sender, datagram.To(c.LocalAddr(), nil))
	for range 4 {
		awaitPayload(t, c, "0123456789")
	}
	if d := awaitPayload(t, c, ""); d.Addr.Port() != sender.LocalAddr().Port() {
		t.Errorf("the empty datagram came from %v", d.Addr)
	}
}

// R31, R32.
func TestLibuvUnreachableReported(t *testing.T) {
	if runtime.GOOS != "linux" {
		skip(t, "network errors are for Linux")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		if address[0] == '[' {
			needIPv6(t)
		}
		reported := make(chan error, 4)
		c := boundConn(t, "udp", address, datagram.WithMaxDatagramSize(4), datagram.WithNetworkErrors(),
			datagram.WithErrorHandler(func(err error) { reported <- err }))
		c.Recv()
		dead := deadAddr(t, address)
		completed := make(chan error, 1)
		err := c.SendFunc(t.Context(), datagram.To(dead, []byte("PING")), func(err error) { completed <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := awaitValue(t, completed, "the completion"); err != nil {
			t.Error(err)
		}
		err = awaitValue(t, reported, "the refusal")
		var refusal *datagram.NetworkError
		if !errors.As(err, &refusal) || refusal.Dst != dead || refusal.Offender != dead.Addr() || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("reported was %#v", err)
		}
		// Receiving goes on, and neither tells it again nor spins.
		mustSend(t, lazyConn(t), datagram.To(c.LocalAddr(), []byte("more")))
		awaitPayload(t, c, "more")
		if s := c.Stats(); len(reported) != 0 || s.Received != 1 || s.ReceiveErrors > 2 {
			t.Errorf("%d reports more, received %d, %d errors", len(reported), s.Received, s.ReceiveErrors)
		}
	}
}

// R33. Which flow goes where is up to the system: send until both had some.
func TestLibuvReusePort(t *testing.T) {
	first, err := datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", datagram.WithReuseAddr(), datagram.WithReusePort())
	if errors.Is(err, errors.ErrUnsupported) {
		skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, first)
	second := boundConn(t, "udp4", first.LocalAddr().String(), datagram.WithReuseAddr(), datagram.WithReusePort())
	received := map[*datagram.Conn]int{}
	for sent := 0; len(received) < 2 || sent < 10; sent++ {
		if sent == 1000 {
			t.Fatalf("of %d flows one handle had none", sent)
		}
		sender := lazyConn(t)
		mustSend(t, sender, datagram.To(first.LocalAddr(), []byte("Hello "+strconv.Itoa(sent))))
		var c *datagram.Conn
		var d datagram.Datagram
		select {
		case d = <-first.Recv():
			c = first
		case d = <-second.Recv():
			c = second
		case <-t.Context().Done():
		}
		if string(d.Payload) != "Hello "+strconv.Itoa(sent) {
			t.Fatalf("received %q", d.Payload)
		}
		received[c]++
		sender.Close()
	}
	if n := first.Stats().Received + second.Stats().Received; n != uint64(received[first]+received[second]) {
		t.Errorf("received %d, of which %d were expected", n, received[first]+received[second])
	}
}

// The kernel tells of a refusal in two ways, of which senders and the receiver
// each may meet either: it is one refusal all the same.
func TestRefusalIsReportedOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		skip(t, "network errors are for Linux")
	}
	dead := deadAddr(t, "127.0.0.1:0")
	for range 1000 { // few of which are a race that the sender wins
		reported := make(chan error, 8)
		c := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithNetworkErrors(),
			datagram.WithErrorHandler(func(err error) { reported <- err }))
		c.Recv()
		if err := c.Send(t.Context(), datagram.To(dead, []byte("PING"))); err != nil {
			t.Fatal(err)
		}
		err := awaitValue(t, reported, "the refusal")
		if refusal := (*datagram.NetworkError)(nil); !errors.As(err, &refusal) || refusal.Dst != dead {
			t.Errorf("reported was %#v", err)
		}
		mustSend(t, lazyConn(t), datagram.To(c.LocalAddr(), []byte("after it")))
		awaitPayload(t, c, "after it")
		if err := c.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(reported) != 0 {
			t.Fatalf("it was reported again, as %#v", <-reported)
		}
	}
}
