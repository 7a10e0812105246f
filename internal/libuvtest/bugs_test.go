package libuvtest_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// What libuv is known to do wrong, and a handle must not.
//
//	B1   TestTrySendBatchOfAnyLength
//	B2   the sign of an error: TestLibuvCloseOnReceiveError, TestLibuvUnreachableReported
//	B3   several sends to a dead port: TestLibuvQueueToDeadPort
//	B4   TestEveryCallAfterClose, TestSendFromTheLastCompletion
//	B5   TestStopInABatchLosesNothing
//	B6   TestCloseInABatchEndsIt
//	B7   TestOpenedIPv6SocketHasItsSettings
//	B8   ENOBUFS as a wait: it takes a network that can be told to fail
//	B9   a sender without a name: TestOpenUnixSocket
//	B10  TestMetadataKindsAddUp
//	B11  TestFullQueueWaitsForItsContext
//	B12  kept: TestFirstReceiveBindsIPv4
//	B13  TestFailedFirstUseLeavesNoSocket

// numbered returns datagrams that each say a number.
func numbered(to netip.AddrPort, n int) []datagram.Datagram {
	ds := make([]datagram.Datagram, n)
	for i := range ds {
		ds[i] = datagram.To(to, binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	return ds
}

// B1: more than 20 at once were partly left out, and the count was wrong.
func TestTrySendBatchOfAnyLength(t *testing.T) {
	for _, n := range []int{1, 2, 20, 21, 40, 45, 64, 65, 100, 128, 129, 200} {
		receiver := conntest.Loopback(t, datagram.WithReadBuffer(4<<20), datagram.WithRecvQueue(256, datagram.Block))
		sender := conntest.New(t)
		if sent, err := sender.TrySendBatch(numbered(receiver.LocalAddr(), n)); sent != n || err != nil {
			t.Errorf("of %d %d were sent, %v", n, sent, err)
		}
		for i := range n {
			d := await.Value(t, "a datagram", receiver.Recv())
			if got := binary.BigEndian.Uint32(d.Payload); got != uint32(i) {
				t.Fatalf("of %d number %d came as %d", n, i, got)
			}
		}
		if s := receiver.Stats(); s.Received != uint64(n) {
			t.Errorf("of %d came %d", n, s.Received)
		}
	}
}

// The count says which went: those before the one that the error is about.
func TestTrySendBatchStopsAtTheFirstFailure(t *testing.T) {
	receiver := conntest.Loopback(t, datagram.WithReadBuffer(4<<20), datagram.WithRecvQueue(256, datagram.Block))
	for name, bad := range map[string]struct {
		d    datagram.Datagram
		want error
	}{
		"too long":         {datagram.To(receiver.LocalAddr(), make([]byte, 65508)), syscall.EMSGSIZE},
		"no destination":   {datagram.Datagram{Payload: []byte("x")}, syscall.EDESTADDRREQ},
		"port 0":           {datagram.To(netip.AddrPortFrom(conntest.Localhost4, 0), []byte("x")), syscall.EINVAL},
		"the other family": {datagram.To(netip.AddrPortFrom(conntest.Localhost6, 9), []byte("x")), syscall.EAFNOSUPPORT},
	} {
		for _, at := range []int{0, 1, 63, 64, 65, 99} {
			sender := conntest.Loopback(t)
			ds := numbered(receiver.LocalAddr(), 100)
			ds[at] = bad.d
			sent, err := sender.TrySendBatch(ds)
			if sent != at {
				t.Errorf("%s at %d: %d were sent", name, at, sent)
			}
			conntest.CheckErrno(t, err, bad.want)
			for i := range at {
				d := await.Value(t, "a datagram", receiver.Recv())
				if got := binary.BigEndian.Uint32(d.Payload); got != uint32(i) {
					t.Fatalf("%s at %d: number %d came as %d", name, at, i, got)
				}
			}
			if s := sender.Stats(); s.Sent != uint64(at) || s.Accepted != s.Sent+s.SendErrors {
				t.Errorf("%s at %d: accepted %d = sent %d + failed %d", name, at, s.Accepted, s.Sent, s.SendErrors)
			}
		}
	}
	if s := receiver.Stats(); s.Held != 0 {
		t.Errorf("%d came beside those", s.Held)
	}
}

// One that fails fails alone, and the others keep their order.
func TestQueuedFailureIsItsOwn(t *testing.T) {
	receiver := conntest.Loopback(t, datagram.WithReadBuffer(4<<20))
	sender := conntest.New(t)
	type completion struct {
		number int
		err    error
	}
	completions := make(chan completion, 40)
	for i, d := range numbered(receiver.LocalAddr(), 40) {
		if i%4 == 1 {
			d.Payload = make([]byte, 65508)
		}
		if err := sender.SendFunc(t.Context(), d, func(err error) { completions <- completion{i, err} }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 {
		c := await.Value(t, "a completion", completions)
		if c.number != i {
			t.Fatalf("completion %d came as the one of %d", i, c.number)
		}
		if i%4 == 1 {
			conntest.CheckErrno(t, c.err, syscall.EMSGSIZE)
			continue
		}
		if c.err != nil {
			t.Errorf("number %d: %v", i, c.err)
		}
		if d := await.Value(t, "a datagram", receiver.Recv()); binary.BigEndian.Uint32(d.Payload) != uint32(i) {
			t.Fatalf("received %x, want number %d", d.Payload, i)
		}
	}
}

// B4: a send after Close made a new socket.
func TestSendFromTheLastCompletion(t *testing.T) {
	c := conntest.Loopback(t)
	to := c.LocalAddr()
	checked := make(chan struct{})
	err := c.SendFunc(t.Context(), datagram.To(to, []byte("x")), func(error) {
		defer close(checked)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		conntest.CheckErrno(t, c.Send(context.Background(), datagram.To(to, nil)), net.ErrClosed)
		_, err := c.TrySend(datagram.To(to, nil))
		conntest.CheckErrno(t, err, net.ErrClosed)
		if c.LocalAddr().IsValid() {
			t.Errorf("a closed handle is bound to %v", c.LocalAddr())
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Closed(t, "the completion", checked)
	await.Closed(t, "the handle", c.Done())
}

// B5: what the system had already handed out was gone.
func TestStopInABatchLosesNothing(t *testing.T) {
	const n = 100
	for _, stopAt := range []uint32{0, 1, 31, n - 2} {
		c := conntest.Loopback(t, datagram.WithReadBuffer(4<<20))
		sender := conntest.New(t)
		if sent, err := sender.TrySendBatch(numbered(c.LocalAddr(), n)); sent != n || err != nil {
			t.Fatal(sent, err)
		}
		expected := uint32(0)
		check := func(d datagram.Datagram) {
			if got := binary.BigEndian.Uint32(d.Payload); got != expected {
				t.Errorf("stopped at %d: number %d came as %d", stopAt, expected, got)
			}
			expected++
			d.Release()
		}
		await.Return(t, "Serve", func() {
			err := c.Serve(t.Context(), func(d datagram.Datagram) {
				if expected > stopAt {
					t.Errorf("number %d was handled after the stop at %d", expected, stopAt)
				}
				check(d)
				if expected == stopAt+1 {
					if err := c.StopRecv(); err != nil {
						t.Error(err)
					}
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
		// The same through channels, of which each is stopped after a few.
		for expected < n {
			ch := c.Recv()
			for range min(7, n-expected) {
				check(await.Value(t, "the rest", ch))
			}
			if err := c.StopRecv(); err != nil {
				t.Error(err)
			}
		}
		if s := c.Stats(); s.Received != n || s.Delivered != n || s.Held != 0 {
			t.Errorf("received %d = delivered %d + held %d", s.Received, s.Delivered, s.Held)
		}
	}
}

// B6: the rest of the batch was still delivered.
func TestCloseInABatchEndsIt(t *testing.T) {
	c := conntest.Loopback(t)
	if sent, err := conntest.New(t).TrySendBatch(numbered(c.LocalAddr(), 50)); sent != 50 || err != nil {
		t.Fatal(sent, err)
	}
	handled := 0
	await.Return(t, "Serve", func() {
		err := c.Serve(t.Context(), func(datagram.Datagram) {
			if handled++; handled == 3 {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
		conntest.CheckErrno(t, err, net.ErrClosed)
	})
	await.Closed(t, "the handle", c.Done())
	if s := c.Stats(); handled != 3 || s.Delivered != 3 || s.Received != s.Delivered+s.CloseDrops || s.Held != 0 {
		t.Errorf("handled %d; received %d = delivered %d + dropped %d", handled, s.Received, s.Delivered, s.CloseDrops)
	}
}

// B13, and for every first use: what was only made for a call that failed
// does not stay.
func TestFailedFirstUseLeavesNoSocket(t *testing.T) {
	testenv.NeedIPv6(t)
	for name, use := range map[string]func(*datagram.Conn) error{
		"JoinGroup IPv4": func(c *datagram.Conn) error {
			return c.JoinGroup(netip.MustParseAddr("239.255.7.7"), conntest.NoInterface)
		},
		"JoinGroup IPv6": func(c *datagram.Conn) error {
			return c.JoinGroup(netip.MustParseAddr("ff02::7:7"), conntest.NoInterface)
		},
		"JoinSourceGroup": func(c *datagram.Conn) error {
			return c.JoinSourceGroup(netip.MustParseAddr("232.1.1.1"), conntest.Localhost4, conntest.NoInterface)
		},
		"LeaveGroup": func(c *datagram.Conn) error { return c.LeaveGroup(netip.MustParseAddr("239.255.7.7"), nil) },
		"LeaveSourceGroup": func(c *datagram.Conn) error {
			return c.LeaveSourceGroup(netip.MustParseAddr("232.1.1.1"), conntest.Localhost4, nil)
		},
		// Broadcast is not allowed by default.
		"Connect": func(c *datagram.Conn) error { return c.Connect(netip.MustParseAddrPort("127.255.255.255:9")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := conntest.New(t)
			before := conntest.StateOf(c)
			err := use(c)
			if op, ok := err.(*net.OpError); !ok || op.Addr == nil {
				t.Errorf("%T, %v; want a *net.OpError that names the address", err, err)
			}
			conntest.CheckUnchanged(t, c, before)
			if err := c.Bind(t.Context(), "udp4", "127.0.0.1:0"); err != nil {
				t.Error(err)
			}
		})
	}
}
