package systemtest_test

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// What ICMP says about one peer is told, and fails no datagram to another.
func TestNetworkErrorsFailNoInnocentSend(t *testing.T) {
	reports := make(chan error, 1000)
	c := conntest.Loopback(t, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { reports <- err }))
	peer, dead := conntest.Socket(t), conntest.DeadAddr(t, "127.0.0.1:0")
	ch := c.Recv()
	const rounds = 20
	for range rounds {
		if _, err := c.TrySend(datagram.To(dead, []byte("nobody"))); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TrySend(datagram.To(conntest.AddrOf(peer), []byte("tried"))); err != nil {
			t.Fatalf("a send to a peer that is there: %v", err)
		}
		if err := c.Send(background, datagram.To(dead, []byte("nobody"))); err != nil {
			t.Fatal(err)
		}
		completed := make(chan error, 1)
		err := c.SendFunc(background, datagram.To(conntest.AddrOf(peer), []byte("queued")), func(err error) { completed <- err })
		if err != nil {
			t.Fatal(err)
		}
		conntest.ExpectError(t, "a queued send to a peer that is there", await.Value(t, "done", completed), nil)
		conntest.ExpectRead(t, peer, "tried")
		conntest.ExpectRead(t, peer, "queued")
	}
	var report *datagram.NetworkError
	if err := await.Value(t, "a report", reports); !errors.As(err, &report) || report.Dst != dead || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("told of %#v, want a NetworkError about %v", err, dead)
	}
	if s := c.Stats(); s.SendErrors != 0 || s.Sent != 4*rounds {
		t.Errorf("%+v, want no error and %d sent", s, 4*rounds)
	}
	// Receiving goes on.
	if _, err := peer.WriteToUDPAddrPort([]byte("still here"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if got := conntest.Text(t, ch); got != "still here" {
		t.Errorf("received %q", got)
	}
}

// What a send has taken from the system is told although the receiver finds
// nothing, after it was busy with a slow reader.
func TestNetworkErrorsThatASendHasTaken(t *testing.T) {
	reports := make(chan error, 10)
	c := conntest.Loopback(t, datagram.WithRecvQueue(1, datagram.Block), datagram.WithNetworkErrors(),
		datagram.WithErrorHandler(func(err error) { reports <- err }))
	peer, dead := conntest.Socket(t), conntest.DeadAddr(t, "127.0.0.1:0")
	const count = 3
	for range count {
		if _, err := peer.WriteToUDPAddrPort([]byte("wait"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	ch := c.Recv()
	await.Until(t, "the receiver waits for the reader", func() bool { return c.Stats().Held > 1 && len(ch) == 1 })
	for _, to := range []netip.AddrPort{dead, conntest.AddrOf(peer)} {
		if _, err := c.TrySend(datagram.To(to, []byte("tried"))); err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		conntest.Text(t, ch)
	}
	var report *datagram.NetworkError
	if err := await.Value(t, "a report", reports); !errors.As(err, &report) || report.Dst != dead {
		t.Errorf("told of %#v, want a NetworkError about %v", err, dead)
	}
	if n := c.Stats().ReceiveErrors; n != 1 {
		t.Errorf("%d receive errors, want 1", n)
	}
}

// A port that nobody listens on is reported, with its address, and nobody else
// pays for it.
func TestWithNetworkErrors(t *testing.T) {
	for _, receiving := range []bool{true, false} {
		errs := make(chan error, 16)
		c := conntest.Loopback(t, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { errs <- err }))
		alive := conntest.Loopback(t)
		dead := conntest.DeadAddr(t, "127.0.0.1:0")
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
				if err := await.Value(t, "done", done); err != nil {
					t.Errorf("to %v: %v", d.Addr, err)
				}
			}
			var err error
			await.Until(t, "a network error", func() bool {
				select {
				case err = <-errs:
					return true
				default:
				}
				if !receiving { // it was late for the send that was to meet it
					conntest.TrySend(t, c, datagram.To(alive.LocalAddr(), []byte("to somebody")))
				}
				return false
			})
			var network *datagram.NetworkError
			if !errors.As(err, &network) || !errors.Is(err, syscall.ECONNREFUSED) ||
				network.Dst != dead || network.Offender != dead.Addr() || network.MTU != 0 {
				t.Errorf("%#v, want ECONNREFUSED for %v", err, dead)
			}
		}
		for range rounds {
			await.Value(t, "a datagram", alive.Recv())
		}
	}
}

// What only sends meet is told too, though the handle receives nothing or does not receive at all.
func TestNetworkErrorsOfSends(t *testing.T) {
	for _, receiving := range []bool{true, false} {
		reports := make(chan error, 1000)
		c := conntest.Loopback(t, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { reports <- err }))
		peer, dead := conntest.Socket(t), conntest.DeadAddr(t, "127.0.0.1:0")
		if receiving {
			c.Recv()
		}
		const rounds = 20
		for range rounds {
			for _, to := range []netip.AddrPort{dead, conntest.AddrOf(peer)} {
				if _, err := c.TrySend(datagram.To(to, []byte("tried"))); err != nil {
					t.Fatal(err)
				}
				if !receiving && to == dead {
					awaitPending(t, c) // for the next send to meet
				}
			}
		}
		for range rounds {
			await.Signal(t, "a report", reports)
		}
		if n := c.Stats().ReceiveErrors; n != rounds {
			t.Errorf("%d receive errors, want %d", n, rounds)
		}
	}
}

// What the sends of another holder of the socket meet, and do not tell, is told.
func TestNetworkErrorsOfOtherHolders(t *testing.T) {
	reports := make(chan error, 1000)
	c := conntest.Loopback(t, datagram.WithNetworkErrors(), datagram.WithErrorHandler(func(err error) { reports <- err }))
	c.Recv()
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	peer := conntest.Socket(t)
	dead := unix.SockaddrInet4{Addr: conntest.Localhost4.As4(), Port: int(conntest.DeadAddr(t, "127.0.0.1:0").Port())}
	alive := unix.SockaddrInet4{Addr: conntest.Localhost4.As4(), Port: int(conntest.AddrOf(peer).Port())}
	for range 50 {
		conntest.OnFile(t, f, func(fd int) error {
			_ = unix.Sendto(fd, []byte("x"), 0, &dead)
			_ = unix.Sendto(fd, []byte("x"), 0, &alive) // takes the errno, if the receiver is not faster
			return nil
		})
		await.Signal(t, "a report", reports)
	}
}
