package datagram

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

// hookedSocket is a socket whose Send is the test's, so as to let things happen
// during a system call that happen there too rarely to wait for.
type hookedSocket struct {
	socket.Socket
	send  func(ds []socket.Outgoing, wait bool) (int, error)
	close func() error
}

func (h *hookedSocket) Send(ds []socket.Outgoing, wait bool) (int, error) { return h.send(ds, wait) }

func (h *hookedSocket) Close() error { return errors.Join(h.close(), h.Socket.Close()) }

func hookedConn(t *testing.T, opts ...Option) (*Conn, *hookedSocket) {
	t.Helper()
	c, err := New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	real, err := socket.Kernel{}.Listen(t.Context(), "udp4", "127.0.0.1:0", c.socketConfig())
	if err != nil {
		t.Fatal(err)
	}
	h := &hookedSocket{Socket: real, close: func() error { return nil }}
	h.send = func(ds []socket.Outgoing, _ bool) (int, error) { return len(ds), nil }
	if err := c.adopt(h, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, h
}

var anywhere = To(netip.MustParseAddrPort("127.0.0.1:9"), []byte("x"))

// A caller may be between the system call that Close ended and the completion of what it
// was sending: Done waits for that.
func TestDoneWaitsForACallerThatSends(t *testing.T) {
	for name, call := range map[string]func(*Conn) error{
		"Flush": func(c *Conn) error { return c.Flush(context.Background()) },
		"Send":  func(c *Conn) error { return c.Send(context.Background(), anywhere) },
	} {
		t.Run(name, func(t *testing.T) {
			var ended atomic.Bool
			completed := make(chan error, 1)
			c, h := hookedConn(t, WithSendQueue(1, 1000))
			sending, closed := make(chan struct{}), make(chan struct{})
			h.send = func([]socket.Outgoing, bool) (int, error) {
				close(sending)
				<-closed
				time.Sleep(10 * time.Millisecond) // lets Close and Done be early if they can
				return 0, net.ErrClosed
			}
			h.close = func() error { close(closed); return nil }
			c.send.BeginBatch(true)
			err := c.SendFunc(context.Background(), anywhere, func(err error) {
				if ended.Load() {
					t.Error("a completion function after Done")
				}
				completed <- err
			})
			if err != nil {
				t.Fatal(err)
			}
			result := make(chan error, 1)
			go func() { result <- call(c) }()
			await.Signal(t, "a send", sending)
			go c.Close()
			await.Closed(t, "Done", c.Done())
			ended.Store(true)
			if err := await.Value(t, "the completion", completed); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if err := await.Value(t, name, result); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

// StopRecv may come while Serve sends what its handler has queued, when there is nothing to
// interrupt.
func TestStopRecvWhileServeSends(t *testing.T) {
	c, h := hookedConn(t)
	h.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		if err := c.StopRecv(); err != nil {
			t.Error(err)
		}
		return len(ds), nil
	}
	for range 3 { // of which two are handled together
		if _, err := h.Socket.Send([]socket.Outgoing{{Addr: c.LocalAddr()}}, false); err != nil {
			t.Fatal(err)
		}
	}
	calls := 0
	result := make(chan error, 1)
	go func() {
		result <- c.Serve(context.Background(), func(Datagram) {
			if calls++; calls == 2 {
				if err := c.TryQueue(anywhere); err != nil {
					t.Error(err)
				}
			}
		})
	}()
	if err := await.Value(t, "Serve", result); err != nil {
		t.Error(err)
	}
}

// What TrySend and TrySendBatch work on keeps nothing of what it was used for, however much that was and how it ended.
func TestAttemptsForget(t *testing.T) {
	for _, length := range []int{1, attemptDatagrams, attemptDatagrams + 8} {
		c, h := hookedConn(t)
		var used []socket.Outgoing
		h.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			used = ds[:cap(ds)]
			return len(ds), nil
		}
		d := anywhere
		d.Meta.HopLimit = 7
		ds := make([]Datagram, length)
		for i := range ds {
			ds[i] = d
		}
		if n, err := c.TrySendBatch(ds); n != length || err != nil {
			t.Fatal(n, err)
		}
		for i := range used {
			if d := &used[i]; d.Payload != nil || d.Addr.IsValid() || d.Control != nil {
				t.Errorf("after %d datagrams, number %d is kept", length, i)
			}
		}
	}
}
