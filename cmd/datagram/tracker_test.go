package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTracker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	tracker := newTracker(2, time.Second)
	answer := func(number uint64, wantSlot int, wantFirst bool) {
		t.Helper()
		if slot, _, first := tracker.answer(number, now); first != wantFirst || first && slot != wantSlot {
			t.Errorf("answer to %d: slot %d, first %t", number, slot, first)
		}
	}
	answer(0, 0, false) // never asked
	if a, b := tracker.send(0, now), tracker.send(1, now); a != 0 || b != 1 {
		t.Fatalf("numbers %d, %d", a, b)
	}
	answer(1, 1, true)
	answer(1, 1, false) // a duplicate
	answer(0, 0, true)  // reordered
	answer(2, 0, false) // never asked
	if n := tracker.send(0, now); n != 2 {
		t.Fatalf("number %d", n)
	}
	if n := tracker.send(0, now); n != 4 { // 2 is lost
		t.Fatalf("number %d", n)
	}
	answer(2, 0, false) // late
	if slots, numbers := tracker.expire(now.Add(time.Second - 1)); len(slots)+len(numbers) > 0 {
		t.Errorf("gave up %v too early", numbers)
	}
	if slots, numbers := tracker.expire(now.Add(time.Second)); !slices.Equal(slots, []int{0}) || !slices.Equal(numbers, []uint64{4}) {
		t.Errorf("gave up %v, %v", slots, numbers)
	}
	answer(4, 0, false) // late
	answer(1<<63, 0, false)
	got, _ := tracker.snapshot()
	if want := (counts{Sent: 4, Answered: 2, Lost: 2, Late: 2, Reordered: 1, Duplicates: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(1 + random.Uint64N(1<<random.IntN(63)))
		all = append(all, d)
		h.record(d)
	}
	slices.Sort(all)
	r := h.roundTrips()
	if r.Min != all[0] || r.Max != all[len(all)-1] {
		t.Errorf("min %d, max %d; want %d and %d", r.Min, r.Max, all[0], all[len(all)-1])
	}
	for q, got := range map[float64]time.Duration{0.5: r.Median, 0.9: r.P90, 0.99: r.P99} {
		want := all[int(q*float64(len(all)))-1]
		if got < want || float64(got) > float64(want)*(1+1.0/32) {
			t.Errorf("quantile %v: %d, want %d to 3 %% more", q, got, want)
		}
	}
	h.record(1<<63 - 1) // has a bucket
	if empty := (&histogram{}).roundTrips(); empty != (roundTrips{}) {
		t.Errorf("%+v", empty)
	}
}
