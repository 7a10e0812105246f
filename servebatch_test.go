package datagram_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// servingBatches runs ServeBatch beside the test.
func servingBatches(ctx context.Context, c *datagram.Conn, handle func([]datagram.Datagram)) <-chan error {
	result := make(chan error, 1)
	go func() { result <- c.ServeBatch(ctx, handle) }()
	return result
}

// texts returns the payloads of a batch, which it releases.
func texts(batch []datagram.Datagram) []string {
	var list []string
	for _, d := range batch {
		list = append(list, string(d.Payload))
		d.Release()
	}
	return list
}

func TestServeBatchHandlesAllInOrder(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithMaxDatagramSize(4))
	s := conntest.SocketTo(t, c)
	const total = 200
	conntest.WriteNumbers(t, s, 0, total)
	if _, err := s.Write([]byte("longer")); err != nil {
		t.Fatal(err)
	}
	var handled []string
	await.Return(t, "ServeBatch", func() {
		me, inside := goroutine(), false
		err := c.ServeBatch(background, func(batch []datagram.Datagram) {
			if goroutine() != me || inside || len(batch) == 0 {
				t.Error("not on the calling goroutine, not one at a time, or nothing")
			}
			inside = true
			for _, d := range batch {
				if d.Addr != conntest.AddrOf(s) || d.Partial != (string(d.Payload) == "long") {
					t.Errorf("%q from %v, Partial %v", d.Payload, d.Addr, d.Partial)
				}
			}
			handled = append(handled, texts(batch)...)
			clear(batch) // it is the handler's
			if cap(batch) != len(batch) {
				t.Error("append would write to memory that is not the handler's")
			}
			if len(handled) == total+1 {
				c.StopRecv()
			}
			inside = false
		})
		conntest.ExpectError(t, "ServeBatch", err, nil)
	})
	for i, got := range handled[:total] {
		if got != fmt.Sprint(i) {
			t.Fatalf("handled %q, want %d", got, i)
		}
	}
	if st := c.Stats(); st.Delivered != total+1 || st.Truncated != 1 {
		t.Errorf("delivered %d, truncated %d", st.Delivered, st.Truncated)
	}
}

func TestServeBatchReturnsWhyItEnded(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *datagram.Conn, cancel context.CancelFunc)
		want error
	}{
		{"StopRecv", func(c *datagram.Conn, _ context.CancelFunc) { c.StopRecv() }, nil},
		{"context", func(_ *datagram.Conn, cancel context.CancelFunc) { cancel() }, context.Canceled},
		{"Close", func(c *datagram.Conn, _ context.CancelFunc) { c.Close() }, net.ErrClosed},
	} {
		for _, inside := range []bool{false, true} {
			t.Run(fmt.Sprint(test.name, " inside: ", inside), func(t *testing.T) {
				c := conntest.Loopback(t)
				s := conntest.SocketTo(t, c)
				ctx, cancel := context.WithCancel(background)
				defer cancel()
				handled := make(chan string, 10)
				result := servingBatches(ctx, c, func(batch []datagram.Datagram) {
					if inside {
						test.end(c, cancel)
					}
					handled <- strings.Join(texts(batch), " ")
				})
				serves(t, s, handled)
				if !inside {
					conntest.ExpectError(t, "a second one", c.ServeBatch(background, func([]datagram.Datagram) {}), syscall.EALREADY)
					test.end(c, cancel)
				}
				conntest.ExpectError(t, "ServeBatch", await.Value(t, "ServeBatch", result), test.want)
			})
		}
	}
}

func TestServeBatchRefuses(t *testing.T) {
	c := conntest.Loopback(t)
	nothing := func([]datagram.Datagram) { t.Error("handled") }
	var none context.Context
	conntest.ExpectError(t, "no context", c.ServeBatch(none, nothing), syscall.EINVAL)
	conntest.ExpectError(t, "no handler", c.ServeBatch(background, nil), syscall.EINVAL)
	conntest.ExpectBare(t, "an ended context", c.ServeBatch(conntest.EndedContext(t), nothing), context.Canceled)
	c.Recv()
	conntest.ExpectError(t, "beside Recv", c.ServeBatch(background, nothing), syscall.EALREADY)
	c.Close()
	conntest.ExpectError(t, "after Close", c.ServeBatch(background, nil), net.ErrClosed)
}

// What Recv has left comes first.
func TestServeBatchBeginsWithTheRemainder(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(2, datagram.Block))
	s := conntest.SocketTo(t, c)
	const total = 20
	conntest.WriteNumbers(t, s, 0, total)
	conntest.ExpectNumbers(t, c.Recv(), 0, 1)
	await.Until(t, "something is held", func() bool { return c.Stats().Held > 2 })
	c.StopRecv()
	next := 1
	await.Return(t, "ServeBatch", func() {
		c.ServeBatch(background, func(batch []datagram.Datagram) {
			for _, got := range texts(batch) {
				if got != fmt.Sprint(next) {
					t.Errorf("handled %q, want %d", got, next)
				}
				next++
			}
			if next == total {
				c.StopRecv()
			}
		})
	})
}

// However its handler ends, ServeBatch sends what it has queued, counts what it was given, and
// keeps the rest.
func TestServeBatchAfterItsHandlerEnds(t *testing.T) {
	for name, end := range map[string]func(){"panics": func() { panic("on purpose") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Loopback(t)
			s := conntest.SocketTo(t, c)
			if _, err := s.Write([]byte("first")); err != nil {
				t.Fatal(err)
			}
			given := make(chan int, 1)
			ended := await.Go(func() {
				defer func() { _ = recover() }()
				c.ServeBatch(background, func(batch []datagram.Datagram) {
					for _, d := range batch {
						if err := c.TryQueue(d.Reply([]byte("reply"))); err != nil {
							t.Error(err)
						}
					}
					given <- len(batch)
					end()
				})
			})
			n := await.Value(t, "the handler", given)
			await.Signal(t, "the end of it", ended)
			conntest.ExpectRead(t, s, "reply")
			if st := c.Stats(); st.Delivered != uint64(n) || st.Held != 0 {
				t.Errorf("%d of %d delivered, %d held", st.Delivered, n, st.Held)
			}
			if _, err := s.Write([]byte("second")); err != nil {
				t.Fatal(err)
			}
			if got := conntest.Text(t, c.Recv()); got != "second" {
				t.Errorf("received %q", got)
			}
		})
	}
}

// What a handler queues leaves as soon as it ends, not only when a timer would let it go.
func TestServeBatchSendsAtOnce(t *testing.T) {
	t.Setenv("DATAGRAM_OFFLOAD", "") // the simulated network has batches
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic("on purpose") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := datagramtest.NewNetwork(1, datagramtest.Link{})
				defer network.Close()
				c, err := network.Listen(background, "udp4", "10.0.0.1:7")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				peer, err := network.Dial(background, "udp4", "10.0.0.1:7")
				if err != nil {
					t.Fatal(err)
				}
				defer peer.Close()
				const questions = 2 // what answers a single one does not wait
				for range questions {
					conntest.TrySend(t, peer, conntest.ToPeer("question"))
				}
				start := time.Now()
				go func() {
					defer func() { _ = recover() }()
					c.ServeBatch(background, func(batch []datagram.Datagram) {
						if len(batch) != questions {
							t.Errorf("%d datagrams came together, want %d", len(batch), questions)
						}
						for _, d := range batch {
							if err := c.TryQueue(d.Reply(d.Payload)); err != nil {
								t.Error(err)
							}
						}
						end()
					})
				}()
				for range questions {
					<-peer.Recv()
				}
				if late := time.Since(start); late > 0 {
					t.Errorf("answered after %v", late)
				}
			})
		})
	}
}

func TestServeBatchAllocatesNothing(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	handled := make(chan struct{}, 1)
	result := servingBatches(background, c, func(batch []datagram.Datagram) {
		for i := range batch {
			batch[i].Release()
		}
		handled <- struct{}{}
	})
	payload := []byte("x")
	allocs := testing.AllocsPerRun(1000, func() {
		s.Write(payload)
		<-handled
	})
	if allocs != 0 && !testenv.RaceEnabled { // which makes pools forget at random
		t.Errorf("%v allocations a datagram", allocs)
	}
	c.Close()
	conntest.ExpectError(t, "ServeBatch", await.Value(t, "ServeBatch", result), net.ErrClosed)
}
