// Package await lets tests wait for what must happen. A test that waits in vain fails and prints the stacks
// of all goroutines.
package await

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// Limit is how long a test waits. It is far longer than any machine needs, so that exceeding it means
// "never", not "slow".
const Limit = 10 * time.Second

// Context returns a context that ends with the test or after Limit.
func Context(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Limit)
	tb.Cleanup(cancel)
	return ctx
}

// Value returns the next value of a channel, which must not be closed.
func Value[T any](tb testing.TB, what string, ch <-chan T) T {
	tb.Helper()
	v, ok := receive(tb, what, ch)
	if !ok {
		tb.Fatalf("waiting for %s: the channel is closed", what)
	}
	return v
}

// Closed waits until a channel is closed. The channel must be empty.
func Closed[T any](tb testing.TB, what string, ch <-chan T) {
	tb.Helper()
	if v, ok := receive(tb, what, ch); ok {
		tb.Fatalf("waiting for the end of %s: got %v", what, v)
	}
}

// Signal waits until a channel has a value or is closed.
func Signal[T any](tb testing.TB, what string, ch <-chan T) {
	tb.Helper()
	receive(tb, what, ch)
}

func receive[T any](tb testing.TB, what string, ch <-chan T) (v T, ok bool) {
	tb.Helper()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for waited := newPatience(); !waited.isOver(); {
		select {
		case v, ok = <-ch:
			return v, ok
		case <-ticker.C:
		}
	}
	inVain(tb, what)
	return v, ok
}

// A patience counts the time until Limit. While the whole process is stopped, as by SIGSTOP or with its machine, it
// counts no more than a tick.
type patience struct {
	last   time.Time
	waited time.Duration
}

const tick = Limit / 100

func newPatience() patience { return patience{last: time.Now()} }

func (p *patience) isOver() bool {
	now := time.Now()
	p.waited += min(now.Sub(p.last), tick)
	p.last = now
	return p.waited > Limit
}

// Until waits for a condition whose change nothing announces.
func Until(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for waited := newPatience(); !holds(); time.Sleep(100 * time.Microsecond) {
		if waited.isOver() {
			inVain(tb, what)
		}
	}
}

// Return runs f, which must return in time and must not end the test. A call that blocks forever is then
// reported by name, instead of timing out the test binary.
func Return(tb testing.TB, what string, f func()) {
	tb.Helper()
	Closed(tb, what, Go(f))
}

// Go runs f concurrently and returns a channel that is closed when f has returned.
func Go(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// NotYet fails if something has happened that must not have. It first waits a little, which can only make a
// fault more likely to show.
func NotYet[T any](tb testing.TB, what string, ch <-chan T) {
	tb.Helper()
	select {
	case <-ch:
		tb.Fatalf("too early: %s", what)
	case <-time.After(20 * time.Millisecond):
	}
}

func inVain(tb testing.TB, what string) {
	tb.Helper()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	tb.Fatalf("waited %v in vain: %s\n\n%s", Limit, what, stacks)
}
