package datagramtest_test

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
)

func TestFaultAfterTimes(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		faults := datagramtest.NewFaults(1)
		c := w.at(here, faults.Option())
		w.send(c, c, "before")
		faults.Inject(
			datagramtest.Fault{Op: datagramtest.OpSend, After: 1, Times: 2, Err: syscall.ENOBUFS},
			datagramtest.Fault{Op: datagramtest.OpSend, After: 2, Times: 2, Err: syscall.EPERM},
		)
		want := []error{nil, syscall.ENOBUFS, syscall.ENOBUFS, syscall.EPERM, syscall.EPERM, nil}
		for i, want := range want {
			if _, err := c.TrySend(datagram.To(c.LocalAddr(), nil)); !errors.Is(err, want) {
				t.Errorf("send %d: %v, want %v", i, err, want)
			}
		}
		if calls, struck := faults.Calls(datagramtest.OpSend); calls != 7 || struck != 4 {
			t.Errorf("%d calls, %d struck; want 7, 4", calls, struck)
		}
		faults.Inject(datagramtest.Fault{Op: datagramtest.OpSend, Err: syscall.EPERM})
		faults.Clear()
		w.send(c, c, "after")
	})
}

func TestFaultProbability(t *testing.T) {
	run := func(seed uint64) (struck []int) {
		simulate(t, 1, datagramtest.Link{}, func(w *world) {
			faults := datagramtest.NewFaults(seed, datagramtest.Fault{Op: datagramtest.OpSetOption, Probability: 0.25, Err: syscall.EIO})
			c := w.at(here, faults.Option())
			for i := range 400 {
				switch err := c.SetTTL(9); {
				case errors.Is(err, syscall.EIO):
					struck = append(struck, i)
				case err != nil:
					t.Error(err)
				}
			}
		})
		return struck
	}
	first := run(1)
	if len(first) < 50 || len(first) > 150 {
		t.Errorf("%d of 400 struck", len(first))
	}
	if !slices.Equal(first, run(1)) || slices.Equal(first, run(2)) {
		t.Error("what is struck does not depend on the seed alone")
	}
}

// A send that accepts only part of a batch continues with the rest. One that fails in the middle fails that
// datagram alone.
func TestFaultShortSend(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		faults := datagramtest.NewFaults(1,
			datagramtest.Fault{Op: datagramtest.OpSend, Short: 2},
			datagramtest.Fault{Op: datagramtest.OpSend, Short: 3, Err: syscall.EIO},
		)
		a, b := w.at(here, faults.Option()), w.at(there)
		var ds []datagram.Datagram
		for i := range 10 {
			ds = append(ds, datagram.To(b.LocalAddr(), fmt.Append(nil, i)))
		}
		if n, err := a.TrySendBatch(ds); n != 5 || !errors.Is(err, syscall.EIO) {
			t.Errorf("%d, %v; want 5, %v", n, err, syscall.EIO)
		}
		if n, err := a.TrySendBatch(ds[6:]); n != 4 || err != nil {
			t.Errorf("%d, %v; want 4", n, err)
		}
		w.expect(b, "0", "1", "2", "3", "4", "6", "7", "8", "9")
	})
}

func TestFaultShortReceive(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		faults := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpReceive, Short: 3})
		c := w.at(here, faults.Option())
		w.send(c, c, "payload")
		if d := w.next(c); string(d.Payload) != "pay" || !d.Partial {
			t.Errorf("received %q, partial: %v", d.Payload, d.Partial)
		}
		w.send(c, c, "payload")
		w.expect(c, "payload")
	})
}

// A storm of EAGAIN delays what is queued, and loses nothing.
func TestFaultStorm(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		const storm = 100
		faults := datagramtest.NewFaults(1,
			datagramtest.Fault{Op: datagramtest.OpSend, Times: storm, Err: syscall.EAGAIN},
			datagramtest.Fault{Op: datagramtest.OpReceive, Times: storm, Err: syscall.EAGAIN},
		)
		c := w.at(here, faults.Option())
		if _, err := c.TrySend(datagram.To(c.LocalAddr(), nil)); !errors.Is(err, datagram.ErrWouldBlock) {
			t.Errorf("TrySend: %v", err)
		}
		start := time.Now()
		for i := range 10 {
			if err := c.Send(w.Context(), datagram.To(c.LocalAddr(), fmt.Append(nil, i))); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(w.Context()); err != nil {
			t.Fatal(err)
		}
		sent := time.Since(start)
		for i := range 10 {
			w.expect(c, fmt.Sprint(i))
		}
		if took := time.Since(start) - sent; sent < storm/2*time.Millisecond || took != storm*time.Millisecond {
			t.Errorf("the storms lasted %v and %v", sent, took)
		}
		if s := c.Stats(); s.Sent != 10 || s.SendErrors != 0 || s.ReceiveErrors != 0 || s.Received != 10 {
			t.Error(s)
		}
	})
}

// An endless fault does not keep time from passing, nor StopRecv and Close from returning.
func TestFaultEndless(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINTR, syscall.EAGAIN} {
		simulate(t, 1, datagramtest.Link{}, func(w *world) {
			faults := datagramtest.NewFaults(1,
				datagramtest.Fault{Op: datagramtest.OpSend, Probability: 1, Err: errno},
				datagramtest.Fault{Op: datagramtest.OpReceive, Probability: 1, Err: errno},
			)
			c := w.at(here, faults.Option())
			start := time.Now()
			for range 2 {
				ch := c.Recv()
				time.Sleep(time.Second)
				if err := c.StopRecv(); err != nil {
					t.Error(err)
				}
				<-ch
			}
			ended := make(chan error, 1)
			if err := c.SendFunc(w.Context(), datagram.To(c.LocalAddr(), nil), func(err error) { ended <- err }); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("the send ended with %v", err)
			}
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Close and StopRecv do not wait for a delay to end.
func TestFaultDelay(t *testing.T) {
	simulate(t, 1, datagramtest.Link{}, func(w *world) {
		faults := datagramtest.NewFaults(1)
		c := w.at(here, faults.Option())
		faults.Inject(
			datagramtest.Fault{Op: datagramtest.OpSend, Delay: time.Second},
			datagramtest.Fault{Op: datagramtest.OpReceive, Delay: 2 * time.Second},
			datagramtest.Fault{Op: datagramtest.OpReceive, After: 1, Times: 100, Delay: time.Hour},
			datagramtest.Fault{Op: datagramtest.OpSend, After: 1, Times: 100, Delay: time.Hour},
		)
		start := time.Now()
		if err := c.Send(w.Context(), datagram.To(c.LocalAddr(), []byte("late"))); err != nil {
			t.Fatal(err)
		}
		w.expect(c, "late")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want 2 s", took)
		}
		ended := make(chan error, 1)
		if err := c.SendFunc(w.Context(), datagram.To(c.LocalAddr(), nil), func(err error) { ended <- err }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := c.StopRecv(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the send ended with %v", err)
		}
		<-c.Done()
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v, want 3 s", took)
		}
	})
}

func TestFaultOutOfRange(t *testing.T) {
	for _, fault := range []datagramtest.Fault{
		{Op: 200}, {After: -1}, {Times: -1}, {Probability: 2}, {Probability: math.NaN()}, {Delay: -1}, {Short: -1},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", fault)
				}
			}()
			datagramtest.NewFaults(1, fault)
		}()
	}
}
