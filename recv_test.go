package datagram_test

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
)

func TestRecvReturnsOneChannelWhileReceiving(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	first := c.Recv()
	writeNumbers(t, s, 0, 3)
	expectNumbers(t, c.Recv(), 0, 1)
	expectNumbers(t, first, 1, 3)
	if c.Recv() != first {
		t.Error("another channel")
	}
	expectError(t, "Err while receiving", c.Err(), nil)
}

func TestRecvGivesDatagramsWithTheirSenderInOrder(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	const n = 200 // the system's buffer holds that many
	writeNumbers(t, s, 0, n)
	for i := range n {
		d := await(t, "a datagram", c.Recv())
		if string(d.Payload) != fmt.Sprint(i) || d.Addr != addrOf(s) || d.Partial {
			t.Fatalf("received %q from %v, partial %v; want %d from %v", d.Payload, d.Addr, d.Partial, i, addrOf(s))
		}
		if cap(d.Payload) != len(d.Payload) {
			t.Fatalf("a payload of %d bytes has a capacity of %d", len(d.Payload), cap(d.Payload))
		}
		d.Release()
	}
}

func TestRecvGivesEmptyDatagrams(t *testing.T) {
	c := loopback(t)
	s := plainSocket(t, c)
	for _, payload := range []string{"before", "", "", "after"} {
		if _, err := s.Write([]byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"before", "", "", "after"} {
		d := await(t, "a datagram", c.Recv())
		if string(d.Payload) != want || d.Addr != addrOf(s) {
			t.Fatalf("received %q from %v, want %q from %v", d.Payload, d.Addr, want, addrOf(s))
		}
	}
}

func TestRecvCutsLongDatagrams(t *testing.T) {
	for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadBatch, datagram.OffloadAll} {
		c := loopback(t, datagram.WithMaxDatagramSize(4), datagram.WithOffload(offload))
		s := plainSocket(t, c)
		for _, payload := range []string{"1234", "12345", "123"} {
			if _, err := s.Write([]byte(payload)); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"1234", "1234", "123"} {
			d := await(t, "a datagram", c.Recv())
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
	c := loopback(t, datagram.WithMaxDatagramSize(4))
	s := loopback(t)
	serveBurst(t, s, func() {
		for i := range 10 {
			if err := s.Send(background, datagram.To(c.LocalAddr(), fmt.Appendf(nil, "%04d and more", i))); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 10 {
		d := await(t, "a datagram", c.Recv())
		if string(d.Payload) != fmt.Sprintf("%04d", i) || !d.Partial || cap(d.Payload) != 4 {
			t.Fatalf("received %q, partial %v, capacity %d", d.Payload, d.Partial, cap(d.Payload))
		}
		d.Release()
	}
}

// serveBurst runs f inside a handler of c, so that all it sends leaves together.
func serveBurst(t *testing.T, c *datagram.Conn, f func()) {
	t.Helper()
	serveOne(t, c, nil, f)
}

// serveUntilClosed is serveBurst for an f that closes c.
func serveUntilClosed(t *testing.T, c *datagram.Conn, f func()) {
	t.Helper()
	serveOne(t, c, net.ErrClosed, f)
}

// serveOne runs f in the second of three calls of the handler: the second and third
// datagram are taken together, unless offload is OffloadNone, and what a handler sends
// stays queued until the last of such a batch was handled.
func serveOne(t *testing.T, c *datagram.Conn, want error, f func()) {
	t.Helper()
	wake := unboundSocket(t)
	for range 3 {
		if _, err := wake.WriteToUDPAddrPort([]byte("wake"), c.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	calls := 0
	result := serving(background, c, func(datagram.Datagram) {
		if calls++; calls == 2 {
			f()
			c.StopRecv()
		}
	})
	expectError(t, "Serve", await(t, "Serve to end", result), want)
}

func TestRecvChannelClosesAndErrTellsWhy(t *testing.T) {
	t.Run("StopRecv", func(t *testing.T) {
		c := loopback(t)
		ch := c.Recv()
		finishes(t, "StopRecv", func() { expectError(t, "StopRecv", c.StopRecv(), nil) })
		select { // StopRecv returns when the channel is closed
		case _, ok := <-ch:
			if ok {
				t.Error("a datagram from nowhere")
			}
		default:
			t.Error("the channel is open")
		}
		expectError(t, "Err", c.Err(), nil)
	})
	t.Run("Close", func(t *testing.T) {
		c := loopback(t)
		ch := c.Recv()
		finishes(t, "Close", func() { c.Close() })
		expectClosed(t, ch)
		expectError(t, "Err", c.Err(), net.ErrClosed)
	})
	t.Run("an error", func(t *testing.T) {
		c := loopback(t)
		breakSocket(t, c)
		expectClosed(t, c.Recv())
		expectError(t, "Err", c.Err(), syscall.ENOTSOCK)
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
	closedAtEnd(t, c)
	expectClosed(t, c.Recv())
	if c.Err() == nil {
		t.Error("Err does not say why")
	}
}

func TestRecvAfterClose(t *testing.T) {
	unused := loopback(t)
	unused.Close()
	expectClosed(t, unused.Recv())

	c := loopback(t)
	s := plainSocket(t, c)
	last := c.Recv()
	writeNumbers(t, s, 0, 3)
	held(t, c, 3)
	c.Close()
	if c.Recv() != last {
		t.Error("not the last channel")
	}
	expectNumbers(t, c.Recv(), 0, 3)
	expectClosed(t, last)
}

func TestStopRecvWhenNotReceiving(t *testing.T) {
	fresh, err := datagram.New()
	if err != nil {
		t.Fatal(err)
	}
	closedAtEnd(t, fresh)
	expectError(t, "without a socket", fresh.StopRecv(), nil)

	c := loopback(t)
	expectError(t, "before Recv", c.StopRecv(), nil)
	c.Recv()
	expectError(t, "while receiving", c.StopRecv(), nil)
	expectError(t, "again", c.StopRecv(), nil)
	c.Close()
	expectError(t, "after Close", c.StopRecv(), net.ErrClosed)
}

func TestReplyLeavesFromTheAddressThatWasAsked(t *testing.T) {
	c := listening(t, "0.0.0.0:0")
	asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), c.LocalAddr().Port())
	s, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(asked)) // hears 127.0.0.2 only
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	writeNumbers(t, s, 1, 2)
	d := await(t, "a datagram", c.Recv())
	if d.Meta.Local != asked.Addr() {
		t.Fatalf("sent to %v, want %v", d.Meta.Local, asked.Addr())
	}
	if err := c.Send(background, d.Reply([]byte("answer"))); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 16)
	finishes(t, "the answer", func() {
		if n, err := s.Read(b); string(b[:n]) != "answer" {
			t.Errorf("read %q, %v", b[:n], err)
		}
	})
}
