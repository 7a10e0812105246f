package conntest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
)

// ToPeer returns a datagram for the connected peer, without a destination.
func ToPeer(payload string) datagram.Datagram {
	return datagram.Datagram{Payload: []byte(payload)}
}

// Send sends a datagram through the queue and waits until the system has accepted it.
func Send(tb testing.TB, c *datagram.Conn, d datagram.Datagram) {
	tb.Helper()
	if err := Outcome(tb, c, d); err != nil {
		tb.Fatalf("send to %v: %v", d.NetAddr(), err)
	}
}

// Outcome is like Send and returns the system's answer.
func Outcome(tb testing.TB, c *datagram.Conn, d datagram.Datagram) error {
	tb.Helper()
	outcome := make(chan error, 1)
	if err := c.SendFunc(await.Context(tb), d, func(err error) { outcome <- err }); err != nil {
		return err
	}
	return await.Value(tb, "the system's answer", outcome)
}

// TrySend sends a datagram without the queue. It must be the next to arrive.
func TrySend(tb testing.TB, c *datagram.Conn, d datagram.Datagram) {
	tb.Helper()
	if n, err := c.TrySend(d); err != nil || n != len(d.Payload) {
		tb.Fatalf("TrySend to %v: %d, %v; want %d", d.Addr, n, err, len(d.Payload))
	}
}

// Next returns the next datagram, with its own memory.
func Next(tb testing.TB, c *datagram.Conn) datagram.Datagram {
	tb.Helper()
	timer := time.NewTimer(await.Limit)
	defer timer.Stop()
	select {
	case d, ok := <-c.Recv():
		if !ok {
			tb.Fatalf("receiving ended: %v", c.Err())
		}
		defer d.Release()
		return d.Clone()
	case <-timer.C:
		tb.Fatalf("nothing received; %+v", c.Stats())
		return datagram.Datagram{}
	}
}

// Expect is Next for a datagram with the given text. To check that something does not arrive, send another
// one after it.
func Expect(tb testing.TB, c *datagram.Conn, want string) datagram.Datagram {
	tb.Helper()
	d := Next(tb, c)
	if string(d.Payload) != want {
		tb.Fatalf("received %q from %v, want %q", d.Payload, d.NetAddr(), want)
	}
	return d
}

// Text receives a datagram, releases it and returns its payload.
func Text(tb testing.TB, ch <-chan datagram.Datagram) string {
	tb.Helper()
	d := await.Value(tb, "a datagram", ch)
	defer d.Release()
	return string(d.Payload)
}

// Serve runs Serve concurrently.
func Serve(ctx context.Context, c *datagram.Conn, handle func(datagram.Datagram)) <-chan error {
	result := make(chan error, 1)
	go func() { result <- c.Serve(ctx, handle) }()
	return result
}

// Noting returns a handler that passes on the text of each datagram.
func Noting(handled chan<- string) func(datagram.Datagram) {
	return func(d datagram.Datagram) {
		text := string(d.Payload)
		d.Release()
		handled <- text
	}
}

// Burst runs f inside a handler of c, so that everything it sends leaves together.
func Burst(tb testing.TB, c *datagram.Conn, f func()) {
	tb.Helper()
	burst(tb, c, nil, f)
}

// BurstUntilClosed is Burst for an f that closes c.
func BurstUntilClosed(tb testing.TB, c *datagram.Conn, f func()) {
	tb.Helper()
	burst(tb, c, net.ErrClosed, f)
}

// burst runs f in the second of three calls of the handler. The second and third datagram are received
// together, unless offload is OffloadNone, and what a handler sends stays queued until the last datagram of
// the batch has been handled.
func burst(tb testing.TB, c *datagram.Conn, want error, f func()) {
	tb.Helper()
	wake := Socket(tb)
	for range 3 {
		if _, err := wake.WriteToUDPAddrPort([]byte("wake"), c.LocalAddr()); err != nil {
			tb.Fatal(err)
		}
	}
	calls := 0
	result := Serve(tb.Context(), c, func(datagram.Datagram) {
		if calls++; calls == 2 {
			f()
			c.StopRecv()
		}
	})
	ExpectError(tb, "Serve", await.Value(tb, "Serve to end", result), want)
}

// AwaitHeld waits until the handle has received n datagrams that nobody has read.
func AwaitHeld(tb testing.TB, c *datagram.Conn, n int) {
	tb.Helper()
	await.Until(tb, fmt.Sprintf("%d datagrams held", n), func() bool { return c.Stats().Held == uint64(n) })
}

// AwaitTimeStamps waits until the system stamps datagrams on arrival, and makes it continue until the end of
// the test. Linux starts to do so some time after the first socket of the host has asked for it; until then
// it stamps datagrams when they are read.
func AwaitTimeStamps(tb testing.TB) {
	tb.Helper()
	await.Until(tb, "time stamps", func() bool {
		const pause = 5 * time.Millisecond
		c := Loopback(tb, datagram.WithMetadata(datagram.MetaTime)) // a new one, that nobody reads from during the pause
		WriteNumbers(tb, SocketTo(tb, c), 0, 1)
		time.Sleep(pause)
		d := await.Value(tb, "a datagram", c.Recv())
		return time.Since(d.Meta.Time) >= pause
	})
}

// Stalled returns a handle on one end of a Unix socket pair for which the system has no more room until
// somebody reads from the other end, and the number of datagrams that this took. It is the only way to get
// EAGAIN on demand.
func Stalled(tb testing.TB, opts ...datagram.Option) (c *datagram.Conn, peer net.Conn, full int) {
	tb.Helper()
	c, peer = UnixPair(tb, opts...)
	for {
		n, err := c.TrySend(datagram.To(netip.AddrPort{}, []byte("fill")))
		if err == datagram.ErrWouldBlock { // never wrapped
			return c, peer, full
		}
		if err != nil || n != 4 {
			tb.Fatalf("TrySend: %d, %v", n, err)
		}
		full++
	}
}

// ReadFill reads the datagrams that Stalled has sent.
func ReadFill(tb testing.TB, peer net.Conn, full int) {
	tb.Helper()
	for range full {
		ExpectRead(tb, peer, "fill")
	}
}
