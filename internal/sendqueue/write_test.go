package sendqueue

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

var errRefused = errors.New("failure")

// becomeSlow makes the next datagram one that its sender sends by itself.
func becomeSlow(q *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pace.lone, q.pace.last = slowAfter, -quick
}

// A caller that sends by itself learns the answer, and nobody else does.
func TestWriteReturnsTheAnswer(t *testing.T) {
	var reported atomic.Int32
	q, f := newQueue(t, Config{Failed: func(netip.AddrPort, *socket.Name, error) { reported.Add(1) }})
	control := &socket.Control{HopLimit: 3}
	payload := []byte("x")
	for _, want := range []error{nil, errRefused} {
		becomeSlow(q)
		f.send = func(ds []socket.Outgoing, wait bool) (int, error) {
			if len(ds) != 1 || wait || *ds[0].Control != *control {
				t.Errorf("sent %+v, wait %v", ds, wait)
			}
			if &ds[0].Payload[0] != &payload[0] {
				t.Error("the payload was copied")
			}
			if want != nil {
				return 0, want
			}
			return 1, nil
		}
		if err := q.Write(context.Background(), &socket.Outgoing{Payload: payload}, control, 0); err != want {
			t.Errorf("Write returned %v, want %v", err, want)
		}
	}
	if c := q.Counts(); c != (Counts{Accepted: 2, Sent: 1, SentBytes: 1, Errors: 1}) {
		t.Errorf("counted %+v", c)
	}
	if n := reported.Load(); n != 0 {
		t.Errorf("%d failures were also reported", n)
	}
}

// Without room, the datagram stays in the queue as a copy, and a worker sends it.
func TestWriteWithoutRoom(t *testing.T) {
	for _, full := range []error{syscall.EAGAIN, syscall.ENOBUFS} {
		t.Run(full.Error(), func(t *testing.T) {
			var reported atomic.Int32
			q, f := newQueue(t, Config{Failed: func(netip.AddrPort, *socket.Name, error) { reported.Add(1) }})
			becomeSlow(q)
			released := make(chan struct{})
			first := true
			sent := make(chan string, 1)
			f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
				if first {
					first = false
					return 0, full
				}
				<-released
				sent <- string(ds[0].Payload)
				return 0, errRefused
			}
			payload := []byte("x")
			if err := q.Write(context.Background(), &socket.Outgoing{Payload: payload}, nil, 0); err != nil {
				t.Errorf("Write returned %v", err)
			}
			payload[0] = 'y'
			close(released)
			if got := await.Value(t, "the datagram", sent); got != "x" {
				t.Errorf("sent %q", got)
			}
			await.Until(t, "the failure to be reported", func() bool { return reported.Load() == 1 })
		})
	}
}

// What others queue while a caller sends alone is not left behind.
func TestWriteBesideOthers(t *testing.T) {
	q, f := newQueue(t, Config{Count: 2})
	becomeSlow(q)
	first := true
	sent := make(chan string, 2)
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		if first {
			first = false
			if err := q.Write(context.Background(), &socket.Outgoing{Payload: []byte("second")}, nil, 0); err != nil {
				t.Errorf("Write of another: %v", err)
			}
		}
		sent <- string(ds[0].Payload)
		return 1, nil
	}
	if err := q.Write(context.Background(), &socket.Outgoing{Payload: []byte("x")}, nil, 0); err != nil {
		t.Errorf("Write: %v", err)
	}
	for _, want := range []string{"x", "second"} {
		if got := await.Value(t, want, sent); got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
	}
}

// A run enters the queue in one piece, so it can leave as messages.
func TestWriteRun(t *testing.T) {
	for _, run := range []struct{ size, segment, datagrams int }{
		{100, 30, 4},
		{90, 30, 3},
		{30, 30, 1},
		{20, 30, 1},
		{0, 30, 1},
		{65507, 100, 656},
		{65507, 1, 65507},
		{65507, 65506, 2},
	} {
		q, f := newQueue(t, Config{Count: 1 << 17, Bytes: 1 << 20})
		var got []byte
		datagrams := 0
		f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
			for i, d := range ds {
				if last := datagrams+1 == run.datagrams; len(d.Payload) != run.segment && !last {
					t.Errorf("datagram %d has %d bytes", datagrams, len(d.Payload))
				}
				if i > 0 && i%64 != 0 && cap(ds[i-1].Payload) != len(ds[i-1].Payload) {
					t.Errorf("datagram %d can grow into the next", i-1)
				}
				datagrams++
				got = append(got, d.Payload...)
			}
			return len(ds), nil
		}
		payload := make([]byte, run.size)
		for i := range payload {
			payload[i] = byte(i / 7)
		}
		if err := q.Write(context.Background(), &socket.Outgoing{Payload: payload}, nil, run.segment); err != nil {
			t.Fatal(err)
		}
		if err := q.Flush(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		if datagrams != run.datagrams || !bytes.Equal(got, payload) {
			t.Errorf("%d bytes by %d: %d datagrams, want %d; equal %v", run.size, run.segment, datagrams, run.datagrams, bytes.Equal(got, payload))
		}
		want := Counts{Accepted: uint64(run.datagrams), Sent: uint64(run.datagrams), SentBytes: uint64(run.size)}
		if c := q.Counts(); c != want {
			t.Errorf("counted %+v, want %+v", c, want)
		}
	}
}

// A run waits until there is room for all of it, and one that is larger than the queue until that is empty.
func TestRunWaitsForRoom(t *testing.T) {
	q, f := newQueue(t, Config{Count: 4, Bytes: 100})
	release := make(chan struct{})
	f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
		<-release
		return len(ds), nil
	}
	enqueue(t, q)
	enqueue(t, q)
	run := socket.Outgoing{Payload: make([]byte, 30)}
	if err := q.Write(NeverWait, &run, nil, 10); err != ErrFull {
		t.Errorf("three datagrams beside two: %v", err)
	}
	run.Payload = make([]byte, 20)
	if err := q.Write(NeverWait, &run, nil, 10); err != nil {
		t.Errorf("two datagrams beside two: %v", err)
	}
	run.Payload = make([]byte, 1000)
	entered := await.Go(func() {
		if err := q.Write(context.Background(), &run, nil, 10); err != nil {
			t.Errorf("a hundred datagrams: %v", err)
		}
	})
	close(release)
	await.Closed(t, "a large run", entered)
}
