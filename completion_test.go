package datagram_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func TestDoneInQueueOrderOnceAndOneAtATime(t *testing.T) {
	const total = 1000
	c := conntest.Loopback(t)
	to := conntest.AddrOf(conntest.Socket(t))
	var running atomic.Int32
	completed := make(chan int, 2*total)
	for i := range total {
		err := c.SendFunc(background, datagram.To(to, []byte("x")), func(err error) {
			if running.Add(1) != 1 {
				t.Error("two at a time")
			}
			if err != nil {
				t.Error(err)
			}
			completed <- i
			running.Add(-1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range total {
		if got := await.Value(t, "done", completed); got != i {
			t.Fatalf("completed %d, want %d", got, i)
		}
	}
	c.Close()
	await.Closed(t, "Done", c.Done())
	if len(completed) != 0 {
		t.Error("completed more than once")
	}
}

// What leaves together may be regrouped by destination; it is reported as it was
// queued all the same, and arrives at each destination in order.
func TestDoneInQueueOrderAcrossDestinations(t *testing.T) {
	const destinations, each = 8, 20
	c := conntest.Loopback(t)
	var peers []*net.UDPConn
	for range destinations {
		peers = append(peers, conntest.Socket(t))
	}
	nowhere := netip.MustParseAddrPort("127.255.255.255:9") // without WithBroadcast
	type completion struct {
		number int
		err    error
	}
	completed := make(chan completion, destinations*each)
	conntest.Burst(t, c, func() {
		for i := range destinations * each {
			to := conntest.AddrOf(peers[i%destinations])
			if i%11 == 0 {
				to = nowhere
			}
			err := c.SendFunc(background, datagram.To(to, fmt.Appendf(nil, "%03d", i)), func(err error) {
				completed <- completion{i, err}
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := range destinations * each {
		got := await.Value(t, "done", completed)
		if got.number != i {
			t.Fatalf("completed %d, want %d", got.number, i)
		}
		var want error
		if i%11 == 0 {
			want = syscall.EACCES
		}
		conntest.ExpectError(t, fmt.Sprint(i), got.err, want)
	}
	for i := range destinations * each {
		if i%11 != 0 {
			conntest.ExpectRead(t, peers[i%destinations], fmt.Sprintf("%03d", i))
		}
	}
}

// A program may hold a lock across SendFunc that its completion function takes.
func TestDoneNeverInsideItsSend(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithSendQueue(2, 1000))
	to := conntest.AddrOf(conntest.Socket(t))
	completed := make(chan struct{}, 200)
	await.Return(t, "SendFunc with a lock held", func() {
		var mu sync.Mutex
		for range 100 {
			mu.Lock()
			returned := false
			err := c.SendFunc(background, datagram.To(to, []byte("x")), func(error) {
				mu.Lock()
				defer mu.Unlock()
				if !returned {
					t.Error("done before SendFunc returned")
				}
				completed <- struct{}{}
			})
			if err != nil {
				t.Error(err)
			}
			returned = true
			mu.Unlock()
		}
	})
	for range 100 {
		await.Signal(t, "done", completed)
	}
}

// Neither is it called inside the other methods that may hand over what is queued.
func TestDoneNeverInsideOtherCalls(t *testing.T) {
	for name, call := range map[string]func(c *datagram.Conn, to netip.AddrPort){
		"Flush": func(c *datagram.Conn, _ netip.AddrPort) { c.Flush(background) },
		"Close": func(c *datagram.Conn, _ netip.AddrPort) { c.Close() },
		"Send": func(c *datagram.Conn, to netip.AddrPort) {
			for range 10 {
				c.Send(background, datagram.To(to, nil))
			}
		},
		"StopRecv": func(c *datagram.Conn, _ netip.AddrPort) { c.StopRecv() },
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Loopback(t, datagram.WithSendQueue(3, 1000))
			to := conntest.AddrOf(conntest.Socket(t))
			var mu sync.Mutex
			completed := make(chan struct{}, 3)
			// In a handler, where what is sent stays queued until somebody hands it over.
			serve := conntest.Burst
			if name == "Close" {
				serve = conntest.BurstUntilClosed
			}
			serve(t, c, func() {
				mu.Lock()
				defer mu.Unlock()
				for range 3 {
					err := c.SendFunc(background, datagram.To(to, nil), func(error) {
						mu.Lock()
						defer mu.Unlock()
						completed <- struct{}{}
					})
					if err != nil {
						t.Error(err)
					}
				}
				call(c, to)
			})
			for range 3 {
				await.Signal(t, "done", completed)
			}
		})
	}
}

func TestDoneAfterTheMetricsHaveDroppedIt(t *testing.T) {
	c := conntest.Loopback(t)
	to := conntest.AddrOf(conntest.Socket(t))
	completed := make(chan struct{})
	for range 100 {
		err := c.SendFunc(background, datagram.To(to, []byte("x")), func(error) {
			if c.SendQueueCount() != 0 || c.SendQueueSize() != 0 || c.Stats().Queued != 0 {
				t.Error("still queued when done is called")
			}
			completed <- struct{}{}
		})
		if err != nil {
			t.Fatal(err)
		}
		await.Signal(t, "done", completed)
	}
}

// One that the system has taken is reported while later ones wait for it to have
// room, however long that takes.
func TestDoneWhileOthersWait(t *testing.T) {
	for name, size := range map[string]int{"small": 4, "large": 40_000} {
		t.Run(name, func(t *testing.T) {
			const total = 1000
			c, peer := conntest.UnixPair(t, datagram.WithSendQueue(total, total*size))
			completed := make(chan int, total)
			for i := range total {
				err := c.SendFunc(background, datagram.Datagram{Payload: make([]byte, size)}, func(error) { completed <- i })
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := await.Value(t, "done of the first, with the peer reading nothing", completed); got != 0 {
				t.Errorf("completed %d first", got)
			}
			// All that the system has taken are reported, though none of the others moves.
			await.Until(t, "done of all that were sent", func() bool {
				return uint64(len(completed))+1 == c.Stats().Sent
			})
			_ = peer
		})
	}
}

// Completion functions are not put off for as long as there is something to send.
func TestDoneWhileOthersKeepTheQueueFull(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithSendQueue(64, 1<<20))
	to := conntest.AddrOf(conntest.Socket(t))
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	var rivals sync.WaitGroup
	defer rivals.Wait()
	defer cancel()
	for range 4 {
		rivals.Go(func() {
			for c.Send(ctx, datagram.To(to, []byte("rival"))) == nil {
			}
		})
	}
	completed := make(chan struct{}, 1)
	for range 20 {
		if err := c.SendFunc(background, datagram.To(to, []byte("x")), func(error) { completed <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
		await.Signal(t, "done", completed)
	}
}

func TestOneBadDatagramFailsItselfAlone(t *testing.T) {
	loopbackIP := netip.MustParseAddr("127.0.0.1")
	for name, bad := range map[string]struct {
		datagram datagram.Datagram
		want     error
	}{
		"65,508 bytes":  {datagram.To(netip.AddrPortFrom(loopbackIP, 9), make([]byte, 65_508)), syscall.EMSGSIZE},
		"100,000 bytes": {datagram.To(netip.AddrPortFrom(loopbackIP, 9), make([]byte, 100_000)), syscall.EMSGSIZE},
		"broadcast":     {datagram.To(netip.MustParseAddrPort("127.255.255.255:9"), []byte("x")), syscall.EACCES},
		"IPv6":          {datagram.To(netip.MustParseAddrPort("[::1]:9"), []byte("x")), syscall.EAFNOSUPPORT},
	} {
		for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadBatch, datagram.OffloadAll} {
			t.Run(fmt.Sprint(name, ", offload ", offload), func(t *testing.T) {
				c := conntest.Loopback(t, datagram.WithOffload(offload))
				peer := conntest.Socket(t)
				var mu sync.Mutex
				var results []error
				note := func(err error) {
					mu.Lock()
					defer mu.Unlock()
					results = append(results, err)
				}
				const total = 20
				isBad := func(i int) bool { return i == 0 || i == 7 || i == 8 || i == total-1 }
				conntest.Burst(t, c, func() {
					for i := range total {
						d := bad.datagram
						if !isBad(i) {
							d = datagram.To(conntest.AddrOf(peer), fmt.Appendf(nil, "%02d", i))
						}
						if err := c.SendFunc(background, d, note); err != nil {
							t.Error(err)
						}
					}
				})
				for i := range total {
					if !isBad(i) {
						conntest.ExpectRead(t, peer, fmt.Sprintf("%02d", i))
					}
				}
				await.Until(t, "all done", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return len(results) == total
				})
				for i, err := range results {
					if isBad(i) {
						conntest.ExpectError(t, fmt.Sprint(i), err, bad.want)
					} else {
						conntest.ExpectError(t, fmt.Sprint(i), err, nil)
					}
				}
				if s := c.Stats(); s.Sent != total-4 || s.SendErrors != 4 {
					t.Errorf("Sent %d, SendErrors %d, want %d, 4", s.Sent, s.SendErrors, total-4)
				}
			})
		}
	}
}

func TestCloseCompletesWhatIsQueuedInOrder(t *testing.T) {
	const total = 600 // more than one block of the queue
	c, _, _ := conntest.Stalled(t)
	var mu sync.Mutex
	var order []int
	for i := range total {
		err := c.SendFunc(background, conntest.ToPeer("x"), func(err error) {
			conntest.ExpectError(t, "done", err, net.ErrClosed)
			mu.Lock()
			defer mu.Unlock()
			order = append(order, i)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	await.Return(t, "Close", func() { c.Close() })
	await.Closed(t, "Done", c.Done())
	if len(order) != total || !slices.IsSorted(order) {
		t.Errorf("%d completed, in the order %v", len(order), order)
	}
	if s := c.Stats(); s.SendErrors != total || s.Queued != 0 {
		t.Errorf("SendErrors %d, Queued %d, want %d, 0", s.SendErrors, s.Queued, total)
	}
}

// A completion function that ends its goroutine, as one does that fails a test, is no
// reason for the others not to be called.
func TestDoneThatEndsItsGoroutine(t *testing.T) {
	c := conntest.Loopback(t)
	to := datagram.To(conntest.AddrOf(conntest.Socket(t)), nil)
	const total = 9
	completed := make(chan int, total)
	conntest.Burst(t, c, func() { // so that they are reported together
		for i := range total {
			err := c.SendFunc(background, to, func(error) {
				completed <- i
				if i%3 == 2 {
					runtime.Goexit()
				}
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := range total {
		if got := await.Value(t, "done", completed); got != i {
			t.Errorf("completed %d, want %d", got, i)
		}
	}
	await.Return(t, "Shutdown", func() { conntest.ExpectError(t, "Shutdown", c.Shutdown(background), nil) })
}
