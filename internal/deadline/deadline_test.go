package deadline

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A watched deadline counts how often it passes.
type watched struct {
	Deadline
	passed atomic.Int32
}

func (w *watched) expect(t *testing.T, what string, passed int32, has bool) {
	t.Helper()
	synctest.Wait()
	if w.passed.Load() != passed || w.HasPassed() != has || (w.Context().Err() != nil) != has {
		t.Errorf("%s: passed %d times, want %d; HasPassed %v, context %v, want %v",
			what, w.passed.Load(), passed, w.HasPassed(), w.Context().Err(), has)
	}
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(watched)
		w.Passed = func() { w.passed.Add(1) }
		w.expect(t, "none", 0, false)
		w.Set(time.Now())
		w.expect(t, "now", 1, true)
		w.Set(time.Time{})
		w.expect(t, "cleared", 1, false)

		w.Set(time.Now().Add(time.Second))
		ctx := w.Context()
		time.Sleep(time.Second - 1)
		w.expect(t, "a little earlier", 1, false)
		time.Sleep(time.Nanosecond)
		w.expect(t, "on time", 2, true)

		w.Set(time.Now().Add(time.Hour))
		if w.expect(t, "moved after it has passed", 2, false); ctx.Err() == nil {
			t.Error("a context has revived")
		}
		ctx = w.Context()
		w.Set(time.Now().Add(2 * time.Hour))
		time.Sleep(2*time.Hour - 1)
		w.expect(t, "moved to later", 2, false)
		time.Sleep(time.Nanosecond)
		if w.expect(t, "later", 3, true); ctx.Err() == nil {
			t.Error("a context has missed the end")
		}
		w.Set(time.Now().Add(time.Hour))
		w.Set(time.Now().Add(time.Minute))
		time.Sleep(time.Minute)
		w.expect(t, "moved to earlier", 4, true)

		w.Set(time.Now().Add(time.Minute))
		w.Set(time.Time{})
		time.Sleep(time.Hour)
		w.expect(t, "cleared before it has passed", 4, false)
		w.Set(time.Unix(0, 0))
		w.Set(time.Unix(0, 0))
		w.expect(t, "long past, twice", 6, true)
	})
}

func TestMovingAllocatesNothing(t *testing.T) {
	var d Deadline
	defer d.Set(time.Time{})
	d.Set(time.Now().Add(time.Hour))
	if n := testing.AllocsPerRun(100, func() { d.Set(time.Now().Add(time.Hour)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
