package main

import (
	"sync"
	"time"
)

// A tracker matches answers with requests. Requests have a number. The slots of a fixed number of requests
// in flight are used again and again: number n is in slot n modulo the number of slots.
type tracker struct {
	mu      sync.Mutex
	slots   []slot
	timeout time.Duration
	highest uint64 // number of an answer so far
	counts  counts
	times   histogram
}

// A slot is the last request of those that share it.
type slot struct {
	next    uint64 // number of the request that comes after it
	at      time.Time
	waiting bool
	lost    bool
}

// counts tell what became of requests.
type counts struct {
	Sent       uint64 `json:"sent"`
	Answered   uint64 `json:"answered"`
	Waiting    uint64 `json:"waiting"`
	Lost       uint64 `json:"lost"`       // without an answer within the time-out
	Late       uint64 `json:"late"`       // answers after that
	Reordered  uint64 `json:"reordered"`  // answers that came after one to a later request
	Duplicates uint64 `json:"duplicates"` // further answers
}

func newTracker(slots int, timeout time.Duration) *tracker {
	t := &tracker{slots: make([]slot, slots), timeout: timeout}
	for i := range t.slots {
		t.slots[i].next = uint64(i)
	}
	return t
}

// send returns the number of a new request in a slot. If the one before it still waits, that is lost.
func (t *tracker) send(i int, now time.Time) (number uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.slots[i]
	t.lose(s)
	number = s.next
	*s = slot{next: number + uint64(len(t.slots)), at: now, waiting: true}
	t.counts.Sent++
	t.counts.Waiting++
	return number
}

// answer records an answer. It returns the slot of its request and the round trip time, unless the
// request was answered or lost before.
func (t *tracker) answer(number uint64, now time.Time) (i int, took time.Duration, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i = int(number % uint64(len(t.slots)))
	s := &t.slots[i]
	switch {
	case number >= s.next: // never asked
		return i, 0, false
	case number+uint64(len(t.slots)) < s.next, s.lost:
		t.counts.Late++
		return i, 0, false
	case !s.waiting:
		t.counts.Duplicates++
		return i, 0, false
	}
	s.waiting = false
	t.counts.Waiting--
	t.counts.Answered++
	if number < t.highest {
		t.counts.Reordered++
	}
	t.highest = max(t.highest, number)
	took = now.Sub(s.at)
	t.times.record(took)
	return i, took, true
}

// expire gives up requests that have waited too long and returns their slots and numbers.
func (t *tracker) expire(now time.Time) (slots []int, numbers []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.slots {
		if s := &t.slots[i]; s.waiting && now.Sub(s.at) >= t.timeout {
			t.lose(s)
			slots = append(slots, i)
			numbers = append(numbers, s.next-uint64(len(t.slots)))
		}
	}
	return slots, numbers
}

func (t *tracker) lose(s *slot) {
	if s.waiting {
		s.waiting, s.lost = false, true
		t.counts.Waiting--
		t.counts.Lost++
	}
}

// snapshot returns the counts and times so far.
func (t *tracker) snapshot() (counts, roundTrips) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts, t.times.roundTrips()
}
