package send

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"example.com/datagram/internal/socket"
)

// complete queues a datagram with a completion function.
func complete(t *testing.T, q *Queue, done func(error)) {
	t.Helper()
	if err := q.Enqueue(context.Background(), socket.Outgoing{}, nil, nil, done); err != nil {
		t.Fatal(err)
	}
}

// While a completion function waits no other runs, the queue is active, and a Flush that waits for them does.
func TestCompletionFunctionThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		f.send = taking
		release, second := make(chan struct{}), false
		complete(t, q, func(error) { <-release })
		synctest.Wait()
		if !q.Active() {
			t.Error("not active")
		}
		q.Hold(true)
		complete(t, q, func(error) { second = true })
		q.Unhold() // sends on this goroutine, which then looks for a reporter
		synctest.Wait()
		if second {
			t.Error("two completion functions at once")
		}
		ended := false
		go func() {
			if err := q.Flush(context.Background(), true); err != nil {
				t.Error(err)
			}
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Error("Flush did not wait")
		}
		close(release)
		synctest.Wait()
		if !second || !ended {
			t.Errorf("the second completion function was called: %v; Flush returned: %v", second, ended)
		}
	})
}

// A completion function that ends its goroutine takes none of the others with it.
func TestGoexitInCompletionFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 3})
		f.send = taking
		q.Hold(true)
		complete(t, q, func(error) { runtime.Goexit() })
		rest := enqueue(t, q)
		q.Unhold()
		if err := <-rest; err != nil {
			t.Error(err)
		}
	})
}

// Who is told of failures hears nothing of what was sent, also if others have asked to be told.
func TestFailuresOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2, Failed: func(err error) { t.Errorf("told of %v", err) }})
		f.send = taking
		q.Hold(true)
		if err := put(q, 1); err != nil {
			t.Fatal(err)
		}
		answer := enqueue(t, q)
		q.Unhold()
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}
