package systemtest_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

func hearErrors(raw syscall.RawConn) (err error) {
	e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1) })
	return errors.Join(e, err)
}

// eachHearing runs a test with handles that hear of network errors, though not with WithNetworkErrors, each with a peer.
func eachHearing(t *testing.T, f func(t *testing.T, c, peer *datagram.Conn, forger *forger)) {
	n := netns.New(t)
	forger := newForger(t, n)
	for name, hear := range map[string]func(t *testing.T, opts []datagram.Option) *datagram.Conn{
		"asked by WithControl": func(t *testing.T, opts []datagram.Option) *datagram.Conn {
			return conntest.Loopback(t, append(opts, datagram.WithControl(func(_, _ string, raw syscall.RawConn) error { return hearErrors(raw) }))...)
		},
		"asked since": func(t *testing.T, opts []datagram.Option) *datagram.Conn {
			c := conntest.Loopback(t, opts...)
			raw, err := c.SyscallConn()
			conntest.ExpectError(t, "asking", errors.Join(err, hearErrors(raw)), nil)
			return c
		},
		"connected": func(t *testing.T, opts []datagram.Option) *datagram.Conn {
			c := conntest.Loopback(t, opts...)
			conntest.ExpectError(t, "Connect", c.Connect(c.LocalAddr()), nil) // to itself, about which the forger's messages are
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachPath(t, func(t *testing.T, opts ...datagram.Option) {
				var c, peer *datagram.Conn
				n.Do(func() { c, peer = hear(t, opts), conntest.Loopback(t) })
				if c.RemoteAddr().IsValid() {
					peer = c
				}
				f(t, c, peer, forger)
			})
		})
	}
}

// The room of a receive buffer is for datagrams: ICMP messages that nobody asks about take no more than a part.
func TestForgedICMPFillsNoReceiveBuffer(t *testing.T) {
	const messages, burst = 3000, 100
	eachHearing(t, func(t *testing.T, c, peer *datagram.Conn, forger *forger) {
		handling, release := make(chan struct{}), make(chan struct{})
		received := make(chan string, burst)
		served := await.Go(func() {
			_ = c.Serve(background, func(d datagram.Datagram) {
				if string(d.Payload) == "wait" {
					close(handling)
					<-release
				}
				received <- string(d.Payload)
			})
		})
		for i := range messages {
			forger.unreachable(t, c.LocalAddr(), uint8(i%16))
		}
		conntest.TrySend(t, peer, toPeer(peer, c, "wait"))
		await.Signal(t, "the handler", handling)
		for i := range burst {
			conntest.TrySend(t, peer, toPeer(peer, c, fmt.Sprint(i)))
		}
		close(release)
		if got := await.Value(t, "a datagram", received); got != "wait" {
			t.Errorf("received %q", got)
		}
		for i := range burst {
			if got := await.Value(t, "a datagram", received); got != fmt.Sprint(i) {
				t.Fatalf("received %q, want %d", got, i)
			}
		}
		c.Close()
		await.Signal(t, "the end of Serve", served)
	})
}

// ICMP messages without end, slower than pauses after errors are long, keep nobody from receiving and sending.
func TestForgedICMPWithoutEnd(t *testing.T) {
	eachHearing(t, func(t *testing.T, c, peer *datagram.Conn, forger *forger) {
		ch := c.Recv()
		stop := make(chan struct{})
		forging := await.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for code := uint8(0); ; code++ {
				select {
				case <-stop:
					return
				case <-tick.C:
					forger.unreachable(t, c.LocalAddr(), code%16)
				}
			}
		})
		defer func() { close(stop); <-forging }()
		await.Until(t, "more errors than patience", func() bool { return c.Stats().ReceiveErrors >= 30 })
		for i := range 50 {
			conntest.TrySend(t, peer, toPeer(peer, c, fmt.Sprint(i)))
			if got := conntest.Text(t, ch); got != fmt.Sprint(i) {
				t.Fatalf("received %q, want %d", got, i)
			}
			conntest.TrySend(t, c, toPeer(c, peer, "answer"))
			if c == peer {
				conntest.Text(t, ch)
			} else {
				conntest.Expect(t, peer, "answer").Release()
			}
		}
	})
}
