package datagram_test

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

func TestTrySendHandsOverAtOnce(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	to := conntest.AddrOf(peer)
	for _, payload := range []string{"datagram", ""} {
		n, err := c.TrySend(datagram.To(to, []byte(payload)))
		if n != len(payload) || err != nil {
			t.Fatalf("TrySend: %d, %v", n, err)
		}
		// Nothing is left to do for anybody else.
		if s := c.Stats(); s.Queued != 0 || c.SendQueueCount() != 0 || c.Active() {
			t.Error("something is queued")
		}
		conntest.ExpectRead(t, peer, payload)
	}
	n, err := c.TrySendBuffers(datagram.To(to, []byte("a,")), [][]byte{[]byte("b,"), {}, []byte("c")})
	if n != 5 || err != nil {
		t.Fatalf("TrySendBuffers: %d, %v", n, err)
	}
	conntest.ExpectRead(t, peer, "a,b,c")
	n, err = c.TrySendBuffers(datagram.To(to, nil), [][]byte{{}})
	if n != 0 || err != nil {
		t.Fatalf("TrySendBuffers: %d, %v", n, err)
	}
	conntest.ExpectRead(t, peer, "")
	_, err = c.TrySendBuffers(datagram.To(to, nil), nil)
	conntest.ExpectError(t, "no buffers", err, syscall.EINVAL)
	if s := c.Stats(); s.Accepted != 4 || s.Sent != 4 || s.SentBytes != 13 || s.SendErrors != 0 {
		t.Errorf("%+v, want 4 datagrams of 13 bytes sent", s)
	}
}

func TestTrySendWouldBlock(t *testing.T) {
	c, peer, full := conntest.Stalled(t)
	before := c.Stats()
	_, err := c.TrySend(conntest.ToPeer("x"))
	conntest.ExpectBare(t, "TrySend", err, datagram.ErrWouldBlock)
	_, err = c.TrySendBuffers(conntest.ToPeer("x"), [][]byte{{1}})
	conntest.ExpectBare(t, "TrySendBuffers", err, datagram.ErrWouldBlock)
	n, err := c.TrySendBatch([]datagram.Datagram{conntest.ToPeer("x")})
	conntest.ExpectBare(t, "TrySendBatch", err, datagram.ErrWouldBlock)
	conntest.ExpectError(t, "it", err, syscall.EAGAIN)
	if n != 0 {
		t.Errorf("TrySendBatch: %d", n)
	}
	// What was neither taken nor queued was not accepted.
	if s := c.Stats(); s.Accepted != before.Accepted || s.SendErrors != 0 || c.SendQueueCount() != 0 {
		t.Errorf("%+v, before %+v", s, before)
	}
	conntest.ReadFill(t, peer, full)
	if _, err := c.TrySend(conntest.ToPeer("x")); err != nil {
		t.Fatal(err)
	}
	conntest.ExpectRead(t, peer, "x")
}

// TrySend must not overtake what is queued, even when the system has room.
func TestTrySendRefusesWhileOthersAreQueued(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.Socket(t)
	to := conntest.AddrOf(peer)
	conntest.Burst(t, c, func() {
		if err := c.Send(background, datagram.To(to, []byte("first"))); err != nil {
			t.Error(err)
		}
		for range 3 {
			if c.SendQueueCount() == 0 {
				break // a slow machine has sent it meanwhile
			}
			if n, err := c.TrySend(datagram.To(to, []byte("second"))); err != datagram.ErrWouldBlock && c.SendQueueCount() > 0 {
				t.Errorf("TrySend: %d, %v with %d queued", n, err, c.SendQueueCount())
			}
			if n, err := c.TrySendBatch([]datagram.Datagram{datagram.To(to, nil)}); err != datagram.ErrWouldBlock && c.SendQueueCount() > 0 {
				t.Errorf("TrySendBatch: %d, %v with %d queued", n, err, c.SendQueueCount())
			}
		}
		if err := c.Flush(background); err != nil {
			t.Error(err)
		}
		if _, err := c.TrySend(datagram.To(to, []byte("third"))); err != nil {
			t.Error(err)
		}
	})
	conntest.ExpectRead(t, peer, "first")

	// With the system full it is certain that one is queued.
	full, _, _ := conntest.Stalled(t)
	mustQueue(t, full, "queued")
	_, err := full.TrySend(conntest.ToPeer("x"))
	conntest.ExpectBare(t, "TrySend", err, datagram.ErrWouldBlock)
}

func TestTrySendErrors(t *testing.T) {
	c := conntest.Loopback(t)
	peer := conntest.AddrOf(conntest.Socket(t))
	for name, bad := range map[string]struct {
		datagram datagram.Datagram
		want     error
		accepted uint64
	}{
		"impossible size": {datagram.To(peer, make([]byte, 65_508)), syscall.EMSGSIZE, 1},
		"port 0":          {datagram.To(netip.AddrPortFrom(peer.Addr(), 0), nil), syscall.EINVAL, 0},
		"broadcast":       {datagram.To(netip.MustParseAddrPort("127.255.255.255:9"), nil), syscall.EACCES, 1},
		"no destination":  {conntest.ToPeer("x"), syscall.EDESTADDRREQ, 0},
	} {
		before := c.Stats()
		n, err := c.TrySend(bad.datagram)
		conntest.ExpectError(t, name, err, bad.want)
		after := c.Stats()
		if n != 0 || after.Accepted-before.Accepted != bad.accepted || after.SendErrors-before.SendErrors != bad.accepted {
			t.Errorf("%s: %d sent, %+v before, %+v after", name, n, before, after)
		}
	}
}

func TestTrySendBatch(t *testing.T) {
	for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadBatch, datagram.OffloadAll} {
		t.Run(fmt.Sprint("offload ", offload), func(t *testing.T) {
			c := conntest.Loopback(t, datagram.WithOffload(offload))
			peer := conntest.Socket(t)
			for _, length := range []int{0, 1, 2, 63, 64, 65, 150} {
				var ds []datagram.Datagram
				for i := range length {
					ds = append(ds, datagram.To(conntest.AddrOf(peer), fmt.Append(nil, i)))
				}
				n, err := c.TrySendBatch(ds)
				if n != length || err != nil {
					t.Fatalf("%d of %d, %v", n, length, err)
				}
				for i := range length {
					conntest.ExpectRead(t, peer, fmt.Sprint(i))
				}
			}
			if s := c.Stats(); s.Accepted != 345 || s.Sent != 345 {
				t.Errorf("%+v, want 345 sent", s)
			}
		})
	}
}

func TestTrySendBatchStopsAtTheFirstThatFails(t *testing.T) {
	for _, offload := range []datagram.Offload{datagram.OffloadNone, datagram.OffloadBatch, datagram.OffloadAll} {
		for _, position := range []int{0, 1, 63, 64, 65, 99} {
			for name, bad := range map[string]struct {
				datagram datagram.Datagram
				want     error
			}{
				"refused by the system": {datagram.To(netip.MustParseAddrPort("127.255.255.255:9"), nil), syscall.EACCES},
				"refused by the handle": {conntest.ToPeer("x"), syscall.EDESTADDRREQ},
			} {
				t.Run(fmt.Sprint(name, ", offload ", offload, ", position ", position), func(t *testing.T) {
					c := conntest.Loopback(t, datagram.WithOffload(offload))
					peer := conntest.Socket(t)
					ds := make([]datagram.Datagram, 100)
					for i := range ds {
						ds[i] = datagram.To(conntest.AddrOf(peer), fmt.Append(nil, i))
					}
					ds[position] = bad.datagram
					n, err := c.TrySendBatch(ds)
					conntest.ExpectError(t, "TrySendBatch", err, bad.want)
					if n != position {
						t.Errorf("%d went, want %d", n, position)
					}
					for i := range position {
						conntest.ExpectRead(t, peer, fmt.Sprint(i))
					}
					if s := c.Stats(); s.Sent != uint64(position) {
						t.Errorf("Sent is %d, want %d", s.Sent, position)
					}
				})
			}
		}
	}
}

func TestTrySendBatchUntilTheSystemIsFull(t *testing.T) {
	c, peer := conntest.UnixPair(t)
	ds := make([]datagram.Datagram, 5000)
	for i := range ds {
		ds[i] = conntest.ToPeer(fmt.Sprint(i))
	}
	n, err := c.TrySendBatch(ds)
	conntest.ExpectBare(t, "TrySendBatch", err, datagram.ErrWouldBlock)
	if s := c.Stats(); n == 0 || s.Sent != uint64(n) || s.Accepted != uint64(n) {
		t.Errorf("%d went, %+v", n, s)
	}
	for i := range n {
		conntest.ExpectRead(t, peer, fmt.Sprint(i))
	}
}

func TestEverySendAfterClose(t *testing.T) {
	c := conntest.Loopback(t)
	to := datagram.To(netip.MustParseAddrPort("127.0.0.1:9"), []byte("x"))
	c.Close()
	await.Return(t, "calls after Close", func() {
		done := func(error) { t.Error("done of a refused datagram") }
		conntest.ExpectError(t, "Send", c.Send(background, to), net.ErrClosed)
		conntest.ExpectError(t, "SendFunc", c.SendFunc(background, to, done), net.ErrClosed)
		conntest.ExpectError(t, "SendBuffers", c.SendBuffers(background, to, [][]byte{{}}, done), net.ErrClosed)
		conntest.ExpectError(t, "TryQueue", c.TryQueue(to), net.ErrClosed)
		conntest.ExpectError(t, "Flush", c.Flush(background), net.ErrClosed)
		conntest.ExpectError(t, "Shutdown", c.Shutdown(background), net.ErrClosed)
		conntest.ExpectError(t, "Close", c.Close(), net.ErrClosed)
		_, err := c.TrySend(to)
		conntest.ExpectError(t, "TrySend", err, net.ErrClosed)
		_, err = c.TrySendBuffers(to, [][]byte{{}})
		conntest.ExpectError(t, "TrySendBuffers", err, net.ErrClosed)
		_, err = c.TrySendBatch([]datagram.Datagram{to, to})
		conntest.ExpectError(t, "TrySendBatch", err, net.ErrClosed)
		_, err = c.TrySendBatch(nil)
		conntest.ExpectError(t, "TrySendBatch of nothing", err, net.ErrClosed)
	})
	if s := c.Stats(); s.Accepted != 0 {
		t.Errorf("Accepted is %d", s.Accepted)
	}
}
