package datagram_test

import (
	"errors"
	"syscall"
	"testing"

	"example.com/datagram"
)

// A port that nobody listens on is reported, with its address, and nobody else
// pays for it.
func TestWithNetworkErrors(t *testing.T) {
	for _, receiving := range []bool{true, false} {
		errs := make(chan error, 16)
		c := boundConn(t, "udp4", "127.0.0.1:0", datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { errs <- err }))
		alive := boundConn(t, "udp4", "127.0.0.1:0")
		gone := boundConn(t, "udp4", "127.0.0.1:0")
		dead := gone.LocalAddr()
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		if receiving {
			c.Recv()
		}
		const rounds = 5
		for range rounds {
			for _, d := range []datagram.Datagram{
				datagram.To(dead, []byte("to nobody")), datagram.To(alive.LocalAddr(), []byte("to somebody")),
			} {
				done := make(chan error, 1)
				if err := c.SendFunc(t.Context(), d, func(err error) { done <- err }); err != nil {
					t.Fatal(err)
				}
				if err := awaitValue(t, done, "done"); err != nil {
					t.Errorf("to %v: %v", d.Addr, err)
				}
			}
			err := awaitValue(t, errs, "a network error")
			var network *datagram.NetworkError
			if !errors.As(err, &network) || !errors.Is(err, syscall.ECONNREFUSED) ||
				network.Dst != dead || network.Offender != dead.Addr() || network.MTU != 0 {
				t.Errorf("%#v, want ECONNREFUSED for %v", err, dead)
			}
		}
		for range rounds {
			awaitValue(t, alive.Recv(), "a datagram")
		}
	}
}
