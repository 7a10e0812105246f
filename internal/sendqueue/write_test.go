package sendqueue

import (
	"bytes"
	"context"
	"testing"

	"example.com/datagram/internal/socket"
	"example.com/datagram/internal/testing/await"
)

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
