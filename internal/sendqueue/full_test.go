package sendqueue

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/datagram/internal/socket"
)

// A caller that sends by itself and finds no room leaves what it queued to a worker, in its place, and does
// not wait.
func TestCallerFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		room := make(chan struct{})
		calls := 0
		var sent []string
		f.send = func(ds []socket.Outgoing, wait bool) (int, error) {
			if calls++; calls == 1 {
				time.Sleep(time.Second) // shows a caller that waits
			}
			if !wait {
				return 0, syscall.EAGAIN
			}
			<-room
			sent = append(sent, string(ds[0].Payload))
			return 1, nil
		}
		began := time.Now()
		q.BeginBatch(false) // callers send by themselves
		for _, payload := range []string{"1st", "2nd"} {
			if err := q.Enqueue(NeverWait, &socket.Outgoing{Payload: []byte(payload)}, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != time.Second {
				t.Errorf("%s: after %v, want that the caller has sent by itself, once", payload, took)
			}
		}
		q.EndBatch()
		if count, _ := q.Size(); count != 2 {
			t.Errorf("%d are queued, want both", count)
		}
		close(room)
		if err := q.Flush(context.Background(), false); err != nil {
			t.Error(err)
		}
		if want := []string{"1st", "2nd"}; !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	})
}
