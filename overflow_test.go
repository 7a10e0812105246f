package datagram_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/softnet"
)

func TestDropNewest(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(4, datagram.DropNewest))
	s := conntest.SocketTo(t, c)
	ch := c.Recv()
	conntest.WriteNumbers(t, s, 0, 20)
	await.Until(t, "all received", func() bool { return c.Stats().Received == 20 })
	if stats := c.Stats(); stats.Held != 4 || stats.PolicyDrops != 16 || stats.Delivered != 0 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 4, 16, 0", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
	conntest.ExpectNumbers(t, ch, 0, 4)
	conntest.WriteNumbers(t, s, 20, 22)
	conntest.ExpectNumbers(t, ch, 20, 22)
	if stats := c.Stats(); stats.Held != 0 || stats.PolicyDrops != 16 || stats.Delivered != 6 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 0, 16, 6", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
}

func TestDropOldest(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(4, datagram.DropOldest))
	s := conntest.SocketTo(t, c)
	ch := c.Recv()
	conntest.WriteNumbers(t, s, 0, 20)
	await.Until(t, "all received", func() bool { return c.Stats().Received == 20 })
	if stats := c.Stats(); stats.Held != 4 || stats.PolicyDrops != 16 || stats.Delivered != 0 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 4, 16, 0", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
	conntest.ExpectNumbers(t, ch, 16, 20)
	if stats := c.Stats(); stats.Held != 0 || stats.PolicyDrops != 16 || stats.Delivered != 4 {
		t.Errorf("Held %d, PolicyDrops %d, Delivered %d, want 0, 16, 4", stats.Held, stats.PolicyDrops, stats.Delivered)
	}
}

// With Block a slow reader loses what does not fit into the system's buffer, and
// the first of all that was sent is what it gets.
func TestBlockLeavesDropsToTheSystem(t *testing.T) {
	const sent = 2000
	c := conntest.Loopback(t, datagram.WithRecvQueue(4, datagram.Block), datagram.WithReadBuffer(20_000))
	s := conntest.SocketTo(t, c)
	ch := c.Recv()
	conntest.WriteNumbers(t, s, 0, 4)
	conntest.AwaitHeld(t, c, 4)
	lost := softnet.Watch()
	conntest.WriteNumbers(t, s, 4, sent)
	await.Until(t, "some are dropped", func() bool { return c.Stats().KernelDrops > 0 })
	next := 0
	await.Until(t, "all are read or dropped", func() bool {
		select {
		case d := <-ch:
			if got, _ := strconv.Atoi(string(d.Payload)); next < 4 && got != next || got < next {
				t.Errorf("read %d, want %d or, if that was dropped, a later one", got, next)
			} else {
				next = got + 1
			}
			d.Release()
		default:
		}
		stats := c.Stats()
		return (stats.Received+stats.KernelDrops == sent || lost()) && stats.Held == 0
	})
	stats := c.Stats()
	if stats.PolicyDrops != 0 {
		t.Errorf("%+v, want no PolicyDrops", stats)
	}
	c.Close()
	if got := c.Stats().KernelDrops; got != stats.KernelDrops {
		t.Errorf("KernelDrops after Close is %d, want %d", got, stats.KernelDrops)
	}
}

// What is left of a batch when the policy drops has its memory given back.
func TestDropPoliciesWithAReader(t *testing.T) {
	for _, policy := range []datagram.Overflow{datagram.DropNewest, datagram.DropOldest} {
		c := conntest.Loopback(t, datagram.WithRecvQueue(2, policy))
		s := conntest.SocketTo(t, c)
		ch := c.Recv()
		var read uint64
		reading := await.Go(func() {
			for d := range ch {
				d.Release()
				read++
			}
		})
		for i := range 20 {
			conntest.WriteNumbers(t, s, i*100, i*100+100)
			await.Until(t, "all received", func() bool { return c.Stats().Received == uint64(i*100+100) })
			conntest.CheckLedger(t, c.Stats())
		}
		c.StopRecv()
		await.Signal(t, "the reader", reading)
		stats := c.Stats()
		if stats.Delivered != read || stats.Delivered+stats.PolicyDrops != 2000 {
			t.Errorf("policy %d: read %d, %+v", policy, read, stats)
		}
	}
}

// What has waited for too long is dropped and counted, what has not is delivered.
func TestMaxAge(t *testing.T) {
	const limit = 50 * time.Millisecond
	conntest.AwaitTimeStamps(t)
	for name, start := range map[string]func(*datagram.Conn, chan<- string){
		"Recv": func(c *datagram.Conn, received chan<- string) {
			ch := c.Recv()
			go func() {
				for d := range ch {
					received <- string(d.Payload)
				}
			}()
		},
		"Serve": func(c *datagram.Conn, received chan<- string) {
			conntest.Serve(background, c, conntest.Noting(received))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.Loopback(t, datagram.WithMaxAge(limit))
			s := conntest.SocketTo(t, c)
			conntest.WriteNumbers(t, s, 0, 10)
			time.Sleep(2 * limit) // that is what it is about
			received := make(chan string, 1000)
			start(c, received)
			// A slow machine may let a fresh one become stale as well: then another counts.
			for {
				if _, err := s.Write([]byte("fresh")); err != nil {
					t.Fatal(err)
				}
				select {
				case got := <-received:
					if stats := c.Stats(); got != "fresh" || stats.StaleDrops < 10 {
						t.Errorf("received %q, StaleDrops is %d, want a fresh one and 10", got, stats.StaleDrops)
					}
					return
				case <-time.After(limit):
				}
			}
		})
	}
}

// What becomes too old while it waits for room in the channel does not go into it.
func TestMaxAgeWhileTheChannelIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := datagramtest.NewNetwork(1, datagramtest.Link{})
		defer network.Close()
		c, err := network.Listen(background, "udp4", "127.0.0.1:0",
			datagram.WithMaxAge(time.Second), datagram.WithRecvQueue(2, datagram.Block))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ch := c.Recv()
		for range 6 {
			conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("old")))
		}
		time.Sleep(3 * time.Second)
		conntest.TrySend(t, c, datagram.To(c.LocalAddr(), []byte("fresh")))
		for _, want := range []string{"old", "old", "fresh"} { // two were in the channel
			if d := <-ch; string(d.Payload) != want {
				t.Errorf("received %q, want %q", d.Payload, want)
			}
		}
		if n := c.Stats().StaleDrops; n != 4 {
			t.Errorf("StaleDrops is %d, want 4", n)
		}
	})
}
