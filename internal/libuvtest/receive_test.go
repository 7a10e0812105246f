package libuvtest_test

import (
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// R12.
func TestLibuvManyAtOnce(t *testing.T) {
	for _, serve := range []bool{false, true} {
		c, sender := conntest.Loopback(t), conntest.New(t)
		for range 40 {
			conntest.TrySend(t, sender, datagram.To(c.LocalAddr(), []byte("PING")))
		}
		check := func(d datagram.Datagram) {
			if string(d.Payload) != "PING" || d.Addr.Port() != sender.LocalAddr().Port() || d.Partial {
				t.Errorf("received %q from %v, partial %v", d.Payload, d.Addr, d.Partial)
			}
			d.Release()
		}
		if !serve {
			for range 40 {
				check(await.Value(t, "one of 40", c.Recv()))
			}
		} else {
			n := 0
			await.Return(t, "Serve", func() {
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
	c, sender := conntest.Loopback(t, datagram.WithMaxDatagramSize(2)), conntest.New(t)
	conntest.TrySend(t, sender, datagram.To(c.LocalAddr(), []byte("PING")))
	if d := conntest.Expect(t, c, "PI"); !d.Partial {
		t.Error("what was cut is not Partial")
	}
}

// R14.
func TestLibuvNothingButTheDatagram(t *testing.T) {
	c, sender := conntest.Loopback(t), conntest.New(t)
	conntest.TrySend(t, sender, datagram.To(c.LocalAddr(), []byte("PING")))
	conntest.Expect(t, c, "PING")
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
			testenv.Skip(t, "network errors are for Linux")
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
		c = conntest.Listen(t, "udp4", "0.0.0.0:0", opts...)
		if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
			t.Fatal(err)
		}
		ch := c.Recv()
		conntest.TrySend(t, c, datagram.Datagram{Payload: []byte("PING")})
		if err := await.Value(t, "the refusal", closed); err != nil {
			t.Error(err)
		}
		await.Closed(t, "the channel", ch)
		await.Closed(t, "the handle", c.Done())
		if n := calls.Load(); n != 1 {
			t.Errorf("the error was reported %d times", n)
		}
	}
}

// R27.
func TestLibuvCloseOnSendError(t *testing.T) {
	for _, opts := range [][]datagram.Option{nil, {datagram.WithNetworkErrors()}} {
		if opts != nil && runtime.GOOS != "linux" {
			testenv.Skip(t, "network errors are for Linux")
		}
		c := conntest.Listen(t, "udp4", "0.0.0.0:0", opts...)
		if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
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
		if err := await.Value(t, "the completion", closed); err != nil {
			t.Error(err)
		}
		await.Closed(t, "the handle", c.Done())
		if calls.Load() != 1 {
			t.Errorf("it was completed %d times", calls.Load())
		}
	}
}

// R28.
func TestLibuvReceiveInARow(t *testing.T) {
	c, sender := conntest.Loopback(t), conntest.New(t)
	for range 4 {
		conntest.TrySend(t, sender, datagram.To(c.LocalAddr(), []byte("0123456789")))
	}
	conntest.TrySend(t, sender, datagram.To(c.LocalAddr(), nil))
	for range 4 {
		conntest.Expect(t, c, "0123456789")
	}
	if d := conntest.Expect(t, c, ""); d.Addr.Port() != sender.LocalAddr().Port() {
		t.Errorf("the empty datagram came from %v", d.Addr)
	}
}

// R31, R32.
func TestLibuvUnreachableReported(t *testing.T) {
	if runtime.GOOS != "linux" {
		testenv.Skip(t, "network errors are for Linux")
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		if address[0] == '[' {
			testenv.NeedIPv6(t)
		}
		reported := make(chan error, 4)
		c := conntest.Listen(t, "udp", address, datagram.WithMaxDatagramSize(4), datagram.WithNetworkErrors(),
			datagram.WithErrorHandler(func(err error) { reported <- err }))
		c.Recv()
		dead := conntest.DeadAddr(t, address)
		completed := make(chan error, 1)
		err := c.SendFunc(t.Context(), datagram.To(dead, []byte("PING")), func(err error) { completed <- err })
		if err != nil {
			t.Fatal(err)
		}
		if err := await.Value(t, "the completion", completed); err != nil {
			t.Error(err)
		}
		err = await.Value(t, "the refusal", reported)
		var refusal *datagram.NetworkError
		if !errors.As(err, &refusal) || refusal.Dst != dead || refusal.Offender != dead.Addr() || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("reported was %#v", err)
		}
		// Receiving goes on, and neither tells it again nor spins.
		conntest.TrySend(t, conntest.New(t), datagram.To(c.LocalAddr(), []byte("more")))
		conntest.Expect(t, c, "more")
		if s := c.Stats(); len(reported) != 0 || s.Received != 1 || s.ReceiveErrors > 2 {
			t.Errorf("%d reports more, received %d, %d errors", len(reported), s.Received, s.ReceiveErrors)
		}
	}
}

// R33. Which flow goes where is up to the system: send until both had some.
func TestLibuvReusePort(t *testing.T) {
	first, err := datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", datagram.WithReuseAddr(), datagram.WithReusePort())
	if errors.Is(err, errors.ErrUnsupported) {
		testenv.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, first)
	second := conntest.Listen(t, "udp4", first.LocalAddr().String(), datagram.WithReuseAddr(), datagram.WithReusePort())
	received := map[*datagram.Conn]int{}
	for sent := 0; len(received) < 2 || sent < 10; sent++ {
		if sent == 1000 {
			t.Fatalf("of %d flows one handle had none", sent)
		}
		sender := conntest.New(t)
		conntest.TrySend(t, sender, datagram.To(first.LocalAddr(), []byte("Hello "+strconv.Itoa(sent))))
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
		testenv.Skip(t, "network errors are for Linux")
	}
	dead := conntest.DeadAddr(t, "127.0.0.1:0")
	for range 1000 { // few of which are a race that the sender wins
		reported := make(chan error, 8)
		c := conntest.Loopback(t, datagram.WithNetworkErrors(),
			datagram.WithErrorHandler(func(err error) { reported <- err }))
		c.Recv()
		if err := c.Send(t.Context(), datagram.To(dead, []byte("PING"))); err != nil {
			t.Fatal(err)
		}
		err := await.Value(t, "the refusal", reported)
		if refusal := (*datagram.NetworkError)(nil); !errors.As(err, &refusal) || refusal.Dst != dead {
			t.Errorf("reported was %#v", err)
		}
		conntest.TrySend(t, conntest.New(t), datagram.To(c.LocalAddr(), []byte("after it")))
		conntest.Expect(t, c, "after it")
		if err := c.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(reported) != 0 {
			t.Fatalf("it was reported again, as %#v", <-reported)
		}
	}
}
