package datagram

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

// A translatingSocket names another sender than the one that Connect named, as the kernel does
// where a program at BPF_CGROUP_UDP4_RECVMSG says so.
type translatingSocket struct {
	socket.Socket
	sender netip.AddrPort
}

func (s *translatingSocket) Receive(b *socket.Batch) error {
	err := s.Socket.Receive(b)
	for i := range b.Messages {
		b.Messages[i].Addr = s.sender
	}
	return err
}

// After Connect the system keeps strangers out. What it lets through is the peer's, whatever the system
// calls it, also if it came before receiving began.
func TestConnectedHandleTrustsTheSystem(t *testing.T) {
	for name, before := range map[string]bool{"received before": true, "sent before": false} {
		t.Run(name, func(t *testing.T) {
			peer, err := Listen(t.Context(), "udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			c, err := New()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			real, err := socket.Kernel{}.Listen(t.Context(), "udp4", "127.0.0.1:0", c.socketConfig())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.adopt(&translatingSocket{real, netip.MustParseAddrPort("192.0.2.1:9")}, nil); err != nil {
				t.Fatal(err)
			}
			if before {
				c.Recv() // and so waits already
			}
			if err := c.Connect(peer.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			for _, payload := range []string{"first", "second"} {
				if _, err := peer.TrySend(To(c.LocalAddr(), []byte(payload))); err != nil {
					t.Fatal(err)
				}
				d := await.Value(t, payload, c.Recv())
				if string(d.Payload) != payload || d.Reply(nil).Addr.IsValid() {
					t.Errorf("received %q from %v", d.Payload, d.Addr)
				}
			}
			if s := c.Stats(); s.PolicyDrops != 0 {
				t.Errorf("%d dropped", s.PolicyDrops)
			}
		})
	}
}

// An endingSocket calls a function before each receive returns.
type endingSocket struct {
	socket.Socket
	end func()
}

func (s *endingSocket) Receive(b *socket.Batch) error {
	defer s.end()
	return s.Socket.Receive(b)
}

// What was being received when a session ended is left to the next.
func TestEndDuringReceive(t *testing.T) {
	for name, serve := range map[string]func(ctx context.Context, c *Conn, handled func()) error{
		"Serve": func(ctx context.Context, c *Conn, handled func()) error {
			return c.Serve(ctx, func(Datagram) { handled() })
		},
		"ServeBatch": func(ctx context.Context, c *Conn, handled func()) error {
			return c.ServeBatch(ctx, func([]Datagram) { handled() })
		},
	} {
		for _, want := range []error{nil, context.Canceled} { // after StopRecv, and when the context ends
			c, err := New()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			end := cancel
			if want == nil {
				end = func() { c.StopRecv() }
			}
			real, err := socket.Kernel{}.Listen(ctx, "udp4", "127.0.0.1:0", c.socketConfig())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.adopt(&endingSocket{real, end}, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := c.TrySend(To(c.LocalAddr(), []byte("late"))); err != nil {
				t.Fatal(err)
			}
			if err := serve(ctx, c, func() { t.Errorf("%s called its handler", name) }); err != want {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			if d := await.Value(t, "what was left", c.Recv()); string(d.Payload) != "late" {
				t.Errorf("%s left %q", name, d.Payload)
			}
		}
	}
}

// A snapshot costs the same however much is left over from earlier.
func TestStatsCopiesNothing(t *testing.T) {
	c, err := Listen(t.Context(), "udp4", "127.0.0.1:0", WithRecvQueue(1, Block), WithReadBuffer(4<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	many := make([]Datagram, 4000)
	for i := range many {
		many[i] = To(c.LocalAddr(), []byte("x"))
	}
	for len(many) > 0 {
		n, err := c.TrySendBatch(many)
		if err != nil {
			t.Fatal(err)
		}
		many = many[n:]
	}
	c.Recv()
	for c.Stats().Received == 0 { // what one receive brings is a segmented message or several
		runtime.Gosched()
	}
	c.StopRecv() // leaves it pending
	c.Recv()
	var before, after runtime.MemStats
	const calls = 100
	runtime.ReadMemStats(&before)
	for range calls {
		c.Stats()
	}
	runtime.ReadMemStats(&after)
	if bytes := (after.TotalAlloc - before.TotalAlloc) / calls; bytes > 4096 {
		t.Errorf("%d bytes a call", bytes)
	}
}

// A handle that waits keeps nothing of what it has received.
func TestIdleReceiverKeepsNoPayload(t *testing.T) {
	for _, size := range []int{1200, 20_000} {
		c, err := Listen(t.Context(), "udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ch := c.Recv()
		collected := make(chan struct{})
		func() {
			if _, err := c.TrySend(To(c.LocalAddr(), make([]byte, size))); err != nil {
				t.Fatal(err)
			}
			d := await.Value(t, "a datagram", ch)
			runtime.AddCleanup(&d.Payload[0], func(ch chan struct{}) { close(ch) }, collected)
		}()
		await.Until(t, "the payload is collected", func() bool {
			runtime.GC()
			select {
			case <-collected:
				return true
			default:
				return false
			}
		})
		c.Close()
	}
}

// interruptedSocket counts interruptions.
type interruptedSocket struct {
	socket.Receiver
	n int
}

func (s *interruptedSocket) Interrupt() { s.n++ }

// A refusal that a send meets first, so that the socket has none to wake its reader with, ends the read.
func TestRefusalInterruptsReader(t *testing.T) {
	for connected, want := range map[bool]int{true: 1, false: 0} {
		s := new(interruptedSocket)
		r := receiver{sock: s, state: reading, filling: true, strangers: strangerFilter{connected: connected}}
		r.turn.L = &r.mu
		r.met(os.NewSyscallError("sendto", syscall.ECONNREFUSED))
		if s.n != want || (r.takeRefusal() == nil) == connected {
			t.Errorf("connected %v: interrupted %d times, want %d", connected, s.n, want)
		}
	}
}
