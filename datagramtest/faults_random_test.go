package datagramtest_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
)

// Random errors, short counts and delays strike every call that moves datagrams. Even so, each datagram is
// answered exactly once and in order, what was sent arrives, and the books are exact.
func TestRandomFaults(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Run("simulated", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := datagramtest.NewNetwork(seed, datagramtest.Link{})
					defer n.Close()
					testRandomFaults(t, seed, n.Option())
				})
			})
			t.Run("system", func(t *testing.T) { testRandomFaults(t, seed) })
		})
	}
}

func testRandomFaults(t *testing.T, seed uint64, options ...datagram.Option) {
	var script []datagramtest.Fault
	for _, errno := range []syscall.Errno{syscall.EAGAIN, syscall.EINTR, syscall.ENOBUFS, syscall.ENOMEM, syscall.EPERM, syscall.ECONNREFUSED} {
		for _, op := range []datagramtest.Op{datagramtest.OpSend, datagramtest.OpReceive} {
			script = append(script, datagramtest.Fault{Op: op, Probability: 0.02, Err: errno})
		}
	}
	script = append(
		script,
		datagramtest.Fault{Op: datagramtest.OpSend, Probability: 0.05, Short: 3},
		datagramtest.Fault{Op: datagramtest.OpSend, Probability: 0.05, Short: 1, Err: syscall.EIO},
		datagramtest.Fault{Op: datagramtest.OpSend, Probability: 0.02, Delay: time.Millisecond},
		datagramtest.Fault{Op: datagramtest.OpReceive, Probability: 0.02, Delay: time.Millisecond},
	)
	faults := datagramtest.NewFaults(seed, script...)
	open := func(opts ...datagram.Option) *datagram.Conn {
		c, err := datagram.Listen(t.Context(), "udp4", "127.0.0.1:0", append(append(options, datagram.WithOffload(datagram.OffloadNone)), opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	sender := open(faults.Option())
	receiver := open(faults.Option(), datagram.WithReadBuffer(10<<20))
	ch := receiver.Recv()

	const count = 500 // fit into a default receive buffer all at once
	var mu sync.Mutex
	next, sent := 0, 0
	for i := range count {
		err := sender.SendFunc(t.Context(), datagram.To(receiver.LocalAddr(), fmt.Append(nil, i)), func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if i != next {
				t.Errorf("completion of %d, want of %d", i, next)
			}
			next++
			if err == nil {
				sent++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := sender.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next != count {
		t.Errorf("%d of %d completed", next, count)
	}
	if s := sender.Stats(); s.Accepted != count || s.Sent != uint64(sent) || s.SendErrors != uint64(count-sent) {
		t.Errorf("%d sent: %v", sent, s)
	}
	received := 0
	for received < sent-int(receiver.Stats().KernelDrops) {
		await.Value(t, fmt.Sprintf("datagram %d of %d", received, sent), ch)
		received++
	}
	if err := receiver.Close(); err != nil {
		t.Error(err)
	}
	<-receiver.Done()
	if s := receiver.Stats(); s.Received != uint64(received) || s.Delivered != uint64(received) {
		t.Errorf("%d received: %v", received, s)
	}
	for _, op := range []datagramtest.Op{datagramtest.OpSend, datagramtest.OpReceive} {
		if calls, struck := faults.Calls(op); struck == 0 || calls > 20*count {
			t.Errorf("%v: %d of %d calls were struck", op, struck, calls)
		}
	}
}
