package systemtest_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/softnet"
)

// However a handle receives and whatever it drops, what was sent is what it received and what the kernel
// dropped, to the last one.
func TestOverflowIsCountedExactly(t *testing.T) {
	conntest.AwaitTimeStamps(t)
	const (
		limit = 20 * time.Millisecond // for those with WithMaxAge
		flood = 3000                  // of which the buffer holds some fifty
	)
	for name, opts := range map[string][]datagram.Option{
		"Block":                   {datagram.WithRecvQueue(4, datagram.Block)},
		"DropNewest":              {datagram.WithRecvQueue(4, datagram.DropNewest)},
		"DropOldest":              {datagram.WithRecvQueue(4, datagram.DropOldest)},
		"WithMaxAge":              {datagram.WithRecvQueue(4, datagram.Block), datagram.WithMaxAge(limit)},
		"DropOldest, WithMaxAge":  {datagram.WithRecvQueue(4, datagram.DropOldest), datagram.WithMaxAge(limit)},
		"one in each system call": {datagram.WithOffload(datagram.OffloadNone)},
		"without offload":         {datagram.WithOffload(datagram.OffloadBatch)},
	} {
		for _, serve := range []bool{false, true} {
			way := map[bool]string{false: "Recv", true: "Serve"}[serve]
			t.Run(name+"/"+way, func(t *testing.T) {
				c := conntest.Loopback(t, append(opts, datagram.WithReadBuffer(20_000))...)
				// A plain socket, and a handle that does not segment: the kernel counts what it coalesced as one.
				plain := conntest.SocketTo(t, c)
				other := conntest.Loopback(t, datagram.WithOffload(datagram.OffloadBatch))

				lost := softnet.Watch()
				sent := floodBoth(t, plain, other, c.LocalAddr(), flood) // while nobody receives
				time.Sleep(2 * limit)                                    // what is queued is stale now
				read := uint64(0)
				var ended <-chan struct{}
				if serve {
					ended = await.Go(func() { c.Serve(background, func(d datagram.Datagram) { read++; d.Release() }) })
				} else {
					ch := c.Recv()
					sent += floodBoth(t, plain, other, c.LocalAddr(), flood) // while nobody reads
					ended = await.Go(func() {
						for d := range ch {
							read++
							d.Release()
						}
					})
				}
				for range 3 {
					sent += floodBoth(t, plain, other, c.LocalAddr(), flood)
				}
				await.Until(t, "the ledger to add up", func() bool {
					s := c.Stats()
					conntest.CheckLedger(t, s)
					if s.Received+s.KernelDrops > sent {
						t.Fatalf("%d sent; %+v", sent, s)
					}
					return (s.Received+s.KernelDrops == sent || lost()) && s.Held == 0
				})
				c.StopRecv()
				await.Signal(t, "the reader", ended)
				s := c.Stats()
				if s.KernelDrops == 0 || s.Delivered != read || s.Received != s.Delivered+s.PolicyDrops+s.StaleDrops {
					t.Errorf("%d sent, %d read; %+v", sent, read, s)
				}
				aged, dropping := strings.Contains(name, "WithMaxAge"), strings.HasPrefix(name, "Drop") && !serve
				if aged && s.StaleDrops == 0 || dropping && !aged && s.PolicyDrops == 0 {
					t.Errorf("nothing dropped: %+v", s)
				}
			})
		}
	}
}

// floodBoth sends at once from two sockets, n from each, and returns how many those were.
func floodBoth(t *testing.T, plain *net.UDPConn, other *datagram.Conn, to netip.AddrPort, n int) uint64 {
	t.Helper()
	ended := await.Go(func() { conntest.WriteNumbers(t, plain, 0, n) })
	for range n {
		if err := other.Send(context.Background(), datagram.To(to, []byte("x"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Flush(await.Context(t)); err != nil {
		t.Fatal(err)
	}
	await.Signal(t, "the other sender", ended)
	return uint64(2 * n)
}
