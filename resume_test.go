package datagram_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"example.com/datagram"
)

func TestRecvResumesOnANewChannel(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	first := c.Recv()
	c.StopRecv()
	expectClosed(t, first)
	writeNumbers(t, s, 0, 3)
	second := c.Recv()
	if second == first {
		t.Fatal("the same channel")
	}
	expectNumbers(t, second, 0, 3)
}

func TestStopRecvLeavesTheChannelReadable(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	ch := c.Recv()
	writeNumbers(t, s, 0, 5)
	held(t, c, 5)
	c.StopRecv()
	expectNumbers(t, ch, 0, 5)
	expectClosed(t, ch)
}

// What did not fit into the channel is neither lost nor overtaken.
func TestRecvResumesWithWhatDidNotFit(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(2, datagram.Block))
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 50) // before Recv, so that many are taken together
	ch := c.Recv()
	eventually(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	c.StopRecv()
	expectNumbers(t, ch, 0, 2)
	expectClosed(t, ch)
	writeNumbers(t, s, 50, 60)
	expectNumbers(t, c.Recv(), 2, 60)
}

func TestResumedChannelBeginsWithWhatTheOldOneHolds(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(4, datagram.Block))
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 20)
	first := c.Recv()
	eventually(t, "a full channel", func() bool { return len(first) == cap(first) })
	c.StopRecv()
	expectNumbers(t, first, 0, 1)
	second := c.Recv()
	expectClosed(t, first) // its datagrams moved
	expectNumbers(t, second, 1, 20)
	stats := c.Stats()
	if stats.Delivered != 20 || stats.Held != 0 {
		t.Errorf("Delivered %d, Held %d, want 20, 0", stats.Delivered, stats.Held)
	}
}

// paced sends numbers to c as fast as got reports that they arrive, so that the
// system never has to drop one.
func paced(t *testing.T, c *datagram.Conn, total int, got func() int) {
	s := plainSocket(t, c)
	for i := range total {
		eventually(t, "progress", func() bool { return i-got() < 100 })
		writeNumbers(t, s, i, i+1)
	}
}

// Readers may still be reading from an old channel when a new one takes over.
func TestOldReadersAndNewOnesShareEachDatagramOnce(t *testing.T) {
	const total = 2000
	c := loopback(t, datagram.WithRecvQueue(8, datagram.Block))
	var (
		mu      sync.Mutex
		seen    = make(map[string]int)
		readers sync.WaitGroup
	)
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	stopped := starts(func() {
		for count() < total {
			ch := c.Recv()
			for range 2 {
				readers.Go(func() {
					for d := range ch {
						mu.Lock()
						seen[string(d.Payload)]++
						mu.Unlock()
						d.Release()
					}
				})
			}
			select { // until a reader has read, so that there is progress
			case d, ok := <-ch:
				if ok {
					mu.Lock()
					seen[string(d.Payload)]++
					mu.Unlock()
					d.Release()
				}
			default:
			}
			c.StopRecv()
		}
	})
	paced(t, c, total, count)
	await(t, "all datagrams", stopped)
	readers.Wait()
	for number, times := range seen {
		if times != 1 {
			t.Errorf("%s was delivered %d times", number, times)
		}
	}
	if stats := c.Stats(); stats.Delivered != total || stats.Held != 0 {
		t.Errorf("Delivered %d, Held %d, want %d, 0", stats.Delivered, stats.Held, total)
	}
}

func TestSelectLoopLosesNothingAcrossStopRecv(t *testing.T) {
	const total = 2000
	c := loopback(t, datagram.WithRecvQueue(8, datagram.Block))
	progress := make(chan int, total)
	received := make(chan []int, 1)
	go func() {
		var numbers []int
		for len(numbers) < total {
			select { //nolint:staticcheck // the loop that users write
			case d, ok := <-c.Recv():
				if !ok {
					continue
				}
				n, err := strconv.Atoi(string(d.Payload))
				if err != nil {
					t.Error(err)
				}
				d.Release()
				numbers = append(numbers, n)
				progress <- n
			}
		}
		received <- numbers
	}()
	end := make(chan struct{})
	stopping := starts(func() {
		for {
			select {
			case <-end:
				return
			default:
				c.StopRecv()
			}
		}
	})
	paced(t, c, total, func() int { return len(progress) })
	numbers := await(t, "all datagrams", received)
	close(end)
	await(t, "the stopper", stopping)
	if !slices.IsSorted(numbers) || len(slices.Compact(numbers)) != total {
		t.Errorf("not each datagram once and in order: %v", numbers)
	}
}

// The order is the system's also when receiving stops and goes on while datagrams
// wait in all the places where they may.
func TestStopRecvKeepsTheOrder(t *testing.T) {
	const total = 1000
	c := loopback(t, datagram.WithRecvQueue(3, datagram.Block))
	s := plainSocket(t, c)
	next := 0
	for sent := 0; sent < total; sent += 20 {
		writeNumbers(t, s, sent, sent+20)
		ch := c.Recv()
		expectNumbers(t, ch, next, next+7)
		next += 7
		c.StopRecv()
		// Every other time what is in the channel is read from the old one.
		if sent%40 == 0 {
			for d := range ch {
				if want := fmt.Sprint(next); string(d.Payload) != want {
					t.Fatalf("received %q, want %s", d.Payload, want)
				}
				next++
			}
		}
		expectNumbers(t, c.Recv(), next, sent+20)
		next = sent + 20
	}
}

// A Recv and a StopRecv that follow a wait for room leave the receiver able to wait again.
func TestStopRecvWhileTheReaderIsSlow(t *testing.T) {
	c := loopback(t, datagram.WithRecvQueue(1, datagram.Block))
	s := plainSocket(t, c)
	writeNumbers(t, s, 0, 100)
	for next := range 100 {
		ch := c.Recv()
		eventually(t, "a datagram", func() bool { return len(ch) == 1 })
		finishes(t, "StopRecv", func() { c.StopRecv() })
		expectNumbers(t, c.Recv(), next, next+1)
	}
}

// What a resumed channel begins with is in it when Recv returns: Close comes too late to take it.
func TestCloseAfterResume(t *testing.T) {
	for range 20 {
		c := loopback(t, datagram.WithRecvQueue(3, datagram.Block))
		writeNumbers(t, plainSocket(t, c), 0, 3)
		ch := c.Recv()
		eventually(t, "three datagrams", func() bool { return len(ch) == 3 })
		c.StopRecv()
		ch = c.Recv()
		c.Close()
		expectNumbers(t, ch, 0, 3)
	}
}
