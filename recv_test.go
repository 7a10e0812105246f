package datagram_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func TestRecvReturnsOneChannelWhileReceiving(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	first := c.Recv()
	conntest.WriteNumbers(t, s, 0, 3)
	conntest.ExpectNumbers(t, c.Recv(), 0, 1)
	conntest.ExpectNumbers(t, first, 1, 3)
	if c.Recv() != first {
		t.Error("another channel")
	}
	conntest.ExpectError(t, "Err while receiving", c.Err(), nil)
}

func TestRecvGivesDatagramsWithTheirSenderInOrder(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	const n = 200 // the system's buffer holds that many
	conntest.WriteNumbers(t, s, 0, n)
	for i := range n {
		d := await.Value(t, "a datagram", c.Recv())
		if string(d.Payload) != fmt.Sprint(i) || d.Addr != conntest.AddrOf(s) || d.Partial {
			t.Fatalf("received %q from %v, partial %v; want %d from %v", d.Payload, d.Addr, d.Partial, i, conntest.AddrOf(s))
		}
		if cap(d.Payload) != len(d.Payload) {
			t.Fatalf("a payload of %d bytes has a capacity of %d", len(d.Payload), cap(d.Payload))
		}
		d.Release()
	}
}

func TestRecvGivesEmptyDatagrams(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	for _, payload := range []string{"before", "", "", "after"} {
		if _, err := s.Write([]byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"before", "", "", "after"} {
		d := await.Value(t, "a datagram", c.Recv())
		if string(d.Payload) != want || d.Addr != conntest.AddrOf(s) {
			t.Fatalf("received %q from %v, want %q from %v", d.Payload, d.Addr, want, conntest.AddrOf(s))
		}
	}
}

func TestRecvCutsLongDatagrams(t *testing.T) {
	for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadBatch, datagram.OffloadAll} {
		c := conntest.Loopback(t, datagram.WithMaxDatagramSize(4), datagram.WithOffload(offload))
		s := conntest.SocketTo(t, c)
		for _, payload := range []string{"1234", "12345", "123"} {
			if _, err := s.Write([]byte(payload)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"1234", "1234", "123"} {
			d := await.Value(t, "a datagram", c.Recv())
			if string(d.Payload) != want || cap(d.Payload) != len(want) {
				t.Errorf("offload %d: received %q with a capacity of %d, want %q", offload, d.Payload, cap(d.Payload), want)
			}
			// It is the second that was longer.
			if cut := c.Stats().Delivered == 2; d.Partial != cut {
				t.Errorf("offload %d: partial %v, want %v", offload, d.Partial, cut)
			}
		}
		if got := c.Stats().Truncated; got != 1 {
			t.Errorf("offload %d: Truncated is %d, want 1", offload, got)
		}
	}
}

// Coalesced datagrams are cut after they were split.
func TestRecvCutsEachCoalescedDatagram(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithMaxDatagramSize(4))
	s := conntest.Loopback(t)
	conntest.Burst(t, s, func() {
		for i := range 10 {
			if err := s.Send(background, datagram.To(c.LocalAddr(), fmt.Appendf(nil, "%04d and more", i))); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 10 {
		d := await.Value(t, "a datagram", c.Recv())
		if string(d.Payload) != fmt.Sprintf("%04d", i) || !d.Partial || cap(d.Payload) != 4 {
			t.Fatalf("received %q, partial %v, capacity %d", d.Payload, d.Partial, cap(d.Payload))
		}
		d.Release()
	}
}

func TestRecvChannelClosesAndErrTellsWhy(t *testing.T) {
	t.Run("StopRecv", func(t *testing.T) {
		c := conntest.Loopback(t)
		ch := c.Recv()
		await.Return(t, "StopRecv", func() { conntest.ExpectError(t, "StopRecv", c.StopRecv(), nil) })
		select { // StopRecv returns when the channel is closed
		case _, ok := <-ch:
			if ok {
				t.Error("a datagram from nowhere")
			}
		default:
			t.Error("the channel is open")
		}
		conntest.ExpectError(t, "Err", c.Err(), nil)
	})
	t.Run("Close", func(t *testing.T) {
		c := conntest.Loopback(t)
		ch := c.Recv()
		await.Return(t, "Close", func() { c.Close() })
		await.Closed(t, "the channel", ch)
		conntest.ExpectError(t, "Err", c.Err(), net.ErrClosed)
	})
	t.Run("an error", func(t *testing.T) {
		c := conntest.Loopback(t)
		conntest.BreakSocket(t, c)
		await.Closed(t, "the channel", c.Recv())
		conntest.ExpectError(t, "Err", c.Err(), syscall.ENOTSOCK)
		if c.Active() {
			t.Error("still active")
		}
	})
}

func TestRecvOfAHandleThatCannotBind(t *testing.T) {
	c, err := datagram.New(datagram.WithInterface("no such interface"))
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, c)
	await.Closed(t, "the channel", c.Recv())
	if c.Err() == nil {
		t.Error("Err does not say why")
	}
}

func TestRecvAfterClose(t *testing.T) {
	unused := conntest.Loopback(t)
	unused.Close()
	await.Closed(t, "the channel", unused.Recv())

	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	last := c.Recv()
	conntest.WriteNumbers(t, s, 0, 3)
	conntest.AwaitHeld(t, c, 3)
	c.Close()
	if c.Recv() != last {
		t.Error("not the last channel")
	}
	conntest.ExpectNumbers(t, c.Recv(), 0, 3)
	await.Closed(t, "the channel", last)
}

func TestStopRecvWhenNotReceiving(t *testing.T) {
	fresh, err := datagram.New()
	if err != nil {
		t.Fatal(err)
	}
	conntest.CloseAtEnd(t, fresh)
	conntest.ExpectError(t, "without a socket", fresh.StopRecv(), nil)

	c := conntest.Loopback(t)
	conntest.ExpectError(t, "before Recv", c.StopRecv(), nil)
	c.Recv()
	conntest.ExpectError(t, "while receiving", c.StopRecv(), nil)
	conntest.ExpectError(t, "again", c.StopRecv(), nil)
	c.Close()
	conntest.ExpectError(t, "after Close", c.StopRecv(), net.ErrClosed)
}

func TestReplyLeavesFromTheAddressThatWasAsked(t *testing.T) {
	c := conntest.Listen(t, "udp4", "0.0.0.0:0")
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.LocalAddr().Port())
	s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(asked)) // hears 127.0.0.2 only
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	conntest.WriteNumbers(t, s, 1, 2)
	d := await.Value(t, "a datagram", c.Recv())
	if d.Meta.Local != asked.Addr() {
		t.Fatalf("sent to %v, want %v", d.Meta.Local, asked.Addr())
	}
	if err := c.Send(background, d.Reply([]byte("answer"))); err != nil {
		t.Fatal(err)
	}
	conntest.ExpectRead(t, s, "answer")
}

func TestRecvResumesOnANewChannel(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	first := c.Recv()
	c.StopRecv()
	await.Closed(t, "the channel", first)
	conntest.WriteNumbers(t, s, 0, 3)
	second := c.Recv()
	if second == first {
		t.Fatal("the same channel")
	}
	conntest.ExpectNumbers(t, second, 0, 3)
}

func TestStopRecvLeavesTheChannelReadable(t *testing.T) {
	c := conntest.Loopback(t)
	s := conntest.SocketTo(t, c)
	ch := c.Recv()
	conntest.WriteNumbers(t, s, 0, 5)
	conntest.AwaitHeld(t, c, 5)
	c.StopRecv()
	conntest.ExpectNumbers(t, ch, 0, 5)
	await.Closed(t, "the channel", ch)
}

// What did not fit into the channel is neither lost nor overtaken.
func TestRecvResumesWithWhatDidNotFit(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(2, datagram.Block))
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 50) // before Recv, so that many are taken together
	ch := c.Recv()
	await.Until(t, "a full channel", func() bool { return len(ch) == cap(ch) })
	c.StopRecv()
	conntest.ExpectNumbers(t, ch, 0, 2)
	await.Closed(t, "the channel", ch)
	conntest.WriteNumbers(t, s, 50, 60)
	conntest.ExpectNumbers(t, c.Recv(), 2, 60)
}

func TestResumedChannelBeginsWithWhatTheOldOneHolds(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(4, datagram.Block))
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 20)
	first := c.Recv()
	await.Until(t, "a full channel", func() bool { return len(first) == cap(first) })
	c.StopRecv()
	conntest.ExpectNumbers(t, first, 0, 1)
	second := c.Recv()
	await.Closed(t, "the channel", first) // its datagrams moved
	conntest.ExpectNumbers(t, second, 1, 20)
	stats := c.Stats()
	if stats.Delivered != 20 || stats.Held != 0 {
		t.Errorf("Delivered %d, Held %d, want 20, 0", stats.Delivered, stats.Held)
	}
}

// paced sends numbers to c as fast as got reports that they arrive, so that the
// system never has to drop one.
func paced(t *testing.T, c *datagram.Conn, total int, got func() int) {
	s := conntest.SocketTo(t, c)
	for i := range total {
		await.Until(t, "progress", func() bool { return i-got() < 100 })
		conntest.WriteNumbers(t, s, i, i+1)
	}
}

// Readers may still be reading from an old channel when a new one takes over.
func TestOldReadersAndNewOnesShareEachDatagramOnce(t *testing.T) {
	const total = 2000
	c := conntest.Loopback(t, datagram.WithRecvQueue(8, datagram.Block))
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
	stopped := await.Go(func() {
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
	await.Signal(t, "all datagrams", stopped)
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
	c := conntest.Loopback(t, datagram.WithRecvQueue(8, datagram.Block))
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
	stopping := await.Go(func() {
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
	numbers := await.Value(t, "all datagrams", received)
	close(end)
	await.Signal(t, "the stopper", stopping)
	if !slices.IsSorted(numbers) || len(slices.Compact(numbers)) != total {
		t.Errorf("not each datagram once and in order: %v", numbers)
	}
}

// The order is the system's also when receiving stops and goes on while datagrams
// wait in all the places where they may.
func TestStopRecvKeepsTheOrder(t *testing.T) {
	const total = 1000
	c := conntest.Loopback(t, datagram.WithRecvQueue(3, datagram.Block))
	s := conntest.SocketTo(t, c)
	next := 0
	for sent := 0; sent < total; sent += 20 {
		conntest.WriteNumbers(t, s, sent, sent+20)
		ch := c.Recv()
		conntest.ExpectNumbers(t, ch, next, next+7)
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
		conntest.ExpectNumbers(t, c.Recv(), next, sent+20)
		next = sent + 20
	}
}

// A Recv and a StopRecv that follow a wait for room leave the receiver able to wait again.
func TestStopRecvWhileTheReaderIsSlow(t *testing.T) {
	c := conntest.Loopback(t, datagram.WithRecvQueue(1, datagram.Block))
	s := conntest.SocketTo(t, c)
	conntest.WriteNumbers(t, s, 0, 100)
	for next := range 100 {
		ch := c.Recv()
		await.Until(t, "a datagram", func() bool { return len(ch) == 1 })
		await.Return(t, "StopRecv", func() { c.StopRecv() })
		conntest.ExpectNumbers(t, c.Recv(), next, next+1)
	}
}

// What a resumed channel begins with is in it when Recv returns: Close comes too late to take it.
func TestCloseAfterResume(t *testing.T) {
	for range 20 {
		c := conntest.Loopback(t, datagram.WithRecvQueue(3, datagram.Block))
		conntest.WriteNumbers(t, conntest.SocketTo(t, c), 0, 3)
		ch := c.Recv()
		await.Until(t, "three datagrams", func() bool { return len(ch) == 3 })
		c.StopRecv()
		ch = c.Recv()
		c.Close()
		conntest.ExpectNumbers(t, ch, 0, 3)
	}
}
