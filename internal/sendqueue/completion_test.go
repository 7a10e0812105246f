package sendqueue

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"example.com/datagram/internal/socket"
)

// withCompletion queues a datagram with a completion function.
func withCompletion(t *testing.T, q *Queue, done func(error)) {
	t.Helper()
	if err := q.Enqueue(context.Background(), &socket.Outgoing{}, nil, nil, done); err != nil {
		t.Fatal(err)
	}
}

// While a completion function blocks, no other runs, the queue is active, and a Flush that waits for
// completions blocks.
func TestCompletionFunctionThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		f.send = taking
		release, second := make(chan struct{}), false
		withCompletion(t, q, func(error) { <-release })
		synctest.Wait()
		if !q.Active() {
			t.Error("not active")
		}
		q.BeginBatch(true)
		withCompletion(t, q, func(error) { second = true })
		q.EndBatch() // sends on this goroutine, and then starts a completer
		synctest.Wait()
		others := 0
		withCompletion(t, q, func(error) { others++ }) // sent by a worker
		synctest.Wait()
		q.BeginBatch(true)
		withCompletion(t, q, func(error) { others++ })
		q.EndBatch()
		synctest.Wait()
		if second || others > 0 {
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
		if !second || others != 2 || !ended {
			t.Errorf("the second completion function was called: %v, of the others %d; Flush returned: %v", second, others, ended)
		}
	})
}

// A completion function that ends its goroutine does not prevent the others.
func TestGoexitInCompletionFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 3})
		f.send = taking
		q.BeginBatch(true)
		withCompletion(t, q, func(error) { runtime.Goexit() })
		rest := enqueue(t, q)
		q.EndBatch()
		if err := <-rest; err != nil {
			t.Error(err)
		}
	})
}

// Failed is not called for datagrams that were sent.
func TestFailuresOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2, Failed: func(_ netip.AddrPort, _ *socket.Name, err error) { t.Errorf("told of %v", err) }})
		f.send = taking
		q.BeginBatch(true)
		if err := put(q, 1); err != nil {
			t.Fatal(err)
		}
		answer := enqueue(t, q)
		q.EndBatch()
		if err := <-answer; err != nil {
			t.Error(err)
		}
	})
}

// A datagram that waits for a slow completion function takes 128 bytes, whatever its payload and outcome.
func TestWaitingCompletionsAreSmall(t *testing.T) {
	for name, err := range map[string]error{"sent": nil, "failed": syscall.EPERM} {
		t.Run(name, func(t *testing.T) {
			q, f := newQueue(t, Config{Count: 1000, Bytes: 1 << 20})
			f.send = func(ds []socket.Outgoing, _ bool) (int, error) {
				if err != nil {
					return 0, os.NewSyscallError("sendmsg", err) // every socket creates it anew
				}
				return len(ds), nil
			}
			const waiting = 20_000
			first, release, called := make(chan struct{}), make(chan struct{}), 0
			payload := make([]byte, 1000)
			wait := func(error) {
				if called++; called == 1 {
					close(first)
					<-release
				}
			}
			send := func() {
				d := socket.Outgoing{Payload: payload, Addr: destinations[0]}
				if err := q.Enqueue(t.Context(), &d, nil, nil, wait); err != nil {
					t.Fatal(err)
				}
			}
			flush := func(completed bool) {
				if err := q.Flush(t.Context(), completed); err != nil {
					t.Fatal(err)
				}
			}
			send()
			<-first
			flush(false)
			before := heap()
			for range waiting {
				send()
			}
			flush(false)
			if each := (heap() - before) / waiting; each > 128 {
				t.Errorf("%d bytes for each that waits", each)
			}
			close(release)
			flush(true)
			if called != waiting+1 {
				t.Errorf("called %d times, want %d", called, waiting+1)
			}
		})
	}
}

// heap returns the bytes in use after emptying pools.
func heap() int {
	runtime.GC()
	runtime.GC() // pools are emptied in two cycles
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// Failures without a completion function do not wait for running ones.
func TestFailuresWaitForNoCompletionFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		q, f := newQueue(t, Config{Failed: func(netip.AddrPort, *socket.Name, error) { told++ }})
		f.send = func([]socket.Outgoing, bool) (int, error) { return 0, syscall.EPERM }
		release := make(chan struct{})
		withCompletion(t, q, func(error) { <-release })
		for range 100 {
			if err := q.Enqueue(t.Context(), &socket.Outgoing{}, nil, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if told != 100 || !q.completions.empty() {
			t.Errorf("told of %d, and the others wait", told)
		}
		close(release)
	})
}

// A socket that accepts one datagram at a time does not multiply the work.
func TestAnsweredOneAtATime(t *testing.T) {
	const total = 1000
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: total, Bytes: total})
		f.send = func(_ []socket.Outgoing, wait bool) (int, error) {
			if !wait {
				return 0, syscall.EAGAIN
			}
			return 1, nil
		}
		q.BeginBatch(true)
		next := 0
		for i := range total {
			withCompletion(t, q, func(error) {
				if next != i {
					t.Errorf("completed %d, want %d", i, next)
				}
				next++
			})
		}
		q.EndBatch()
		if err := q.Flush(t.Context(), true); err != nil || next != total {
			t.Errorf("%v, %d completed", err, next)
		}
	})
}

// Failed is called for the right datagram, even if destinations were grouped.
func TestFailuresOfSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed []netip.AddrPort
		q, f := newQueue(t, Config{Count: 10, Failed: func(addr netip.AddrPort, _ *socket.Name, _ error) { failed = append(failed, addr) }})
		f.segments = true
		f.send = func([]socket.Outgoing, bool) (int, error) { return 0, syscall.EPERM }
		q.BeginBatch(true)
		completed := 0
		for i := range 9 {
			done := func(error) { completed++ }
			if i%3 == 1 {
				done = nil
			}
			if err := q.Enqueue(t.Context(), &socket.Outgoing{Addr: destinations[i%3]}, nil, nil, done); err != nil {
				t.Fatal(err)
			}
		}
		q.EndBatch()
		synctest.Wait()
		if want := slices.Repeat(destinations[1:2], 3); completed != 6 || !slices.Equal(failed, want) {
			t.Errorf("completed %d; told of %v, want %v", completed, failed, want)
		}
	})
}

// Completions of sent datagrams do not wait for room for the others.
func TestCompletionsDoNotWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, f := newQueue(t, Config{Count: 2})
		room, sent := make(chan struct{}), 0
		f.send = func(_ []socket.Outgoing, wait bool) (int, error) {
			if sent == 1 && !wait {
				return 0, syscall.EAGAIN
			}
			if sent == 1 {
				<-room
			}
			sent++
			return 1, nil
		}
		q.mu.Lock()
		q.draining = true // so that both are in a block
		q.mu.Unlock()
		first, second := enqueue(t, q), enqueue(t, q)
		q.mu.Lock()
		q.startWorker()
		q.mu.Unlock()
		if err := <-first; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		select {
		case <-second:
			t.Error("the second was sent without room")
		default:
		}
		close(room)
		if err := <-second; err != nil {
			t.Error(err)
		}
	})
}
