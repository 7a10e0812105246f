package systemtest_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/netns"
)

// stuckHandler is an error handler that counts its calls and waits, in the first, for release.
type stuckHandler struct {
	entered, released chan struct{}
	calls             atomic.Int64
}

func newStuckHandler() *stuckHandler {
	return &stuckHandler{entered: make(chan struct{}), released: make(chan struct{})}
}

func (h *stuckHandler) handle(error) {
	if h.calls.Add(1) == 1 {
		close(h.entered)
		<-h.released
	}
}

func (h *stuckHandler) release() {
	select {
	case <-h.released:
	default:
		close(h.released)
	}
}

// A handler that takes its time costs no goroutine for each error, and the errors that wait for it
// are bounded: the others are counted.
func TestErrorsThatWaitAreBounded(t *testing.T) {
	handler := newStuckHandler()
	c := conntest.Loopback(t, datagram.WithNetworkErrors(), datagram.WithErrorHandler(handler.handle))
	defer handler.release() // Done, which the end of the test waits for, waits for the handler
	dead := conntest.DeadAddr(t, "127.0.0.1:0")
	before := 0
	for c.Stats().UnreportedErrors < 100 {
		for i, send := range []func(datagram.Datagram) error{
			func(d datagram.Datagram) error { _, err := c.TrySend(d); return err },
			func(d datagram.Datagram) error { return c.Send(background, d) },
		} {
			if err := send(datagram.To(dead, []byte("nobody"))); err != nil && !errors.Is(err, datagram.ErrWouldBlock) {
				t.Fatal(err)
			}
			if before == 0 && i == 0 {
				awaitPending(t, c) // for the next send to meet
			}
		}
		if before == 0 {
			await.Signal(t, "the error handler", handler.entered)
			before = runtime.NumGoroutine()
		}
	}
	// A worker for what is queued may be among them, and others that are about to end.
	await.Until(t, "few goroutines", func() bool { return runtime.NumGoroutine() <= before+2 })
	if err := c.Flush(background); err != nil {
		t.Fatal(err)
	}
	handler.release()
	s := c.Stats()
	await.Until(t, "all others are reported", func() bool {
		s = c.Stats()
		return uint64(handler.calls.Load()) == s.ReceiveErrors-s.UnreportedErrors
	})
	if s.SendErrors != 0 {
		t.Errorf("%d sends failed for the errors of others", s.SendErrors)
	}
}

// A handler that takes its time stops neither Serve nor Recv.
func TestSlowErrorHandlerStopsNoReceiver(t *testing.T) {
	for name, receive := range map[string]func(*datagram.Conn, chan<- string){
		"Serve": func(c *datagram.Conn, received chan<- string) {
			conntest.Serve(background, c, conntest.Noting(received))
		},
		"Recv": func(c *datagram.Conn, received chan<- string) {
			await.Go(func() {
				for d := range c.Recv() {
					received <- string(d.Payload)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler := newStuckHandler()
			c := conntest.Loopback(t, datagram.WithNetworkErrors(), datagram.WithErrorHandler(handler.handle))
			defer handler.release() // Done, which the end of the test waits for, waits for the handler
			received := make(chan string, 1)
			receive(c, received)
			peer, dead := conntest.Socket(t), conntest.DeadAddr(t, "127.0.0.1:0")
			for range 50 {
				if _, err := c.TrySend(datagram.To(dead, []byte("nobody"))); err != nil {
					t.Fatal(err)
				}
				if _, err := peer.WriteToUDPAddrPort([]byte("x"), c.LocalAddr()); err != nil {
					t.Fatal(err)
				}
				await.Signal(t, "a datagram", received)
			}
			await.Signal(t, "the error handler", handler.entered)
			if n := handler.calls.Load(); n != 1 {
				t.Errorf("%d calls at once", n)
			}
		})
	}
}

// A handler may end its goroutine, as t.Fatal does: the next error has another one.
func TestErrorHandlerThatEndsItsGoroutine(t *testing.T) {
	calls := make(chan error, 10)
	c := conntest.Loopback(t, datagram.WithErrorHandler(func(err error) {
		calls <- err
		runtime.Goexit()
	}))
	if err := c.Connect(conntest.DeadAddr(t, "127.0.0.1:0")); err != nil {
		t.Fatal(err)
	}
	ch := c.Recv()
	for range 3 {
		if _, err := c.TrySend(conntest.ToPeer("anybody there?")); err == nil {
			conntest.ExpectError(t, "the error", await.Value(t, "the error handler", calls), syscall.ECONNREFUSED)
		}
	}
	if err := c.StopRecv(); err != nil {
		t.Fatal(err)
	}
	await.Closed(t, "the channel", ch)
	c.Close()
	await.Closed(t, "Done", c.Done())
}

// Anybody can forge ICMP messages. On a socket whose former owner has asked for them, none ends
// receiving, whatever errno it stands for.
func TestForgedICMPEndsNoReceiver(t *testing.T) {
	n := netns.New(t)
	forger := newForger(t, n)
	for name, receive := range map[string]func(*datagram.Conn, chan<- string) <-chan error{
		"Serve": func(c *datagram.Conn, received chan<- string) <-chan error {
			return conntest.Serve(background, c, conntest.Noting(received))
		},
		"Recv": func(c *datagram.Conn, received chan<- string) <-chan error {
			result := make(chan error, 1)
			go func() {
				for d := range c.Recv() {
					received <- string(d.Payload)
				}
				result <- c.Err()
			}()
			return result
		},
	} {
		t.Run(name, func(t *testing.T) {
			failures := make(chan error, 100)
			var c, peer *datagram.Conn
			n.Do(func() {
				peer = conntest.Loopback(t)
				c = conntest.Loopback(t, datagram.WithErrorHandler(func(err error) { failures <- err }),
					datagram.WithControl(func(_, _ string, raw syscall.RawConn) (err error) {
						e := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1) })
						return errors.Join(e, err)
					}))
			})
			received := make(chan string, 1)
			result := receive(c, received)
			conntest.TrySend(t, peer, datagram.To(c.LocalAddr(), []byte("ready")))
			await.Signal(t, "a datagram", received)
			for code := range uint8(16) { // icmp_err_convert has as many
				forger.unreachable(t, c.LocalAddr(), code)
			}
			await.Signal(t, "an error", failures)
			conntest.TrySend(t, peer, datagram.To(c.LocalAddr(), []byte("still here")))
			select {
			case got := <-received:
				if got != "still here" {
					t.Errorf("received %q", got)
				}
			case err := <-result:
				t.Errorf("receiving has ended: %v", err)
			}
		})
	}
}

// A forger sends ICMP messages about datagrams that nobody has sent.
type forger struct{ fd int }

func newForger(t *testing.T, n *netns.Namespace) *forger {
	f := new(forger)
	var err error
	n.Do(func() { f.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(f.fd) })
	return f
}

// unreachable reports that a datagram from an address to itself was not delivered.
func (f *forger) unreachable(t *testing.T, from netip.AddrPort, code uint8) {
	t.Helper()
	addr := from.Addr().As4()
	original := ipv4.Header{Version: 4, Len: ipv4.HeaderLen, TotalLen: ipv4.HeaderLen + 8, TTL: 64, Protocol: unix.IPPROTO_UDP, Src: addr[:], Dst: addr[:]}
	header, err := original.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = append(udp, udp[0], udp[1], 0, 8, 0, 0)
	message, err := (&icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: int(code), Body: &icmp.DstUnreach{Data: append(header, udp...)}}).Marshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendto(f.fd, message, 0, &unix.SockaddrInet4{Addr: addr}); err != nil {
		t.Fatal(err)
	}
}
