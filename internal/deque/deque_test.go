package deque

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDeque does at random what can be done, beside a slice.
func TestDeque(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q Deque[int]
	var want []int
	for i := range 100_000 {
		switch random.IntN(4) {
		case 0:
			q.PushBack(i)
			want = append(want, i)
		case 1:
			q.PushFront(i)
			want = slices.Insert(want, 0, i)
		default:
			var v int
			if ok := q.PopFront(&v); ok != (len(want) > 0) {
				t.Fatalf("popped from %d elements: %v", len(want), ok)
			} else if ok {
				if v != want[0] {
					t.Fatalf("popped %d, want %d", v, want[0])
				}
				want = want[1:]
			}
		}
		if q.Len() != len(want) {
			t.Fatalf("%d elements, want %d", q.Len(), len(want))
		}
		for i, v := range want {
			if *q.At(i) != v {
				t.Fatalf("element %d is %d, want %d", i, *q.At(i), v)
			}
		}
		if q.Len() == 0 && q.ring != nil {
			t.Fatal("an empty deque keeps memory")
		}
	}
}

// What was popped is not kept from the collector.
func TestPoppedIsForgotten(t *testing.T) {
	var q Deque[*int]
	q.PushBack(new(int))
	q.PushBack(new(int))
	var v *int
	q.PopFront(&v)
	for _, p := range q.ring {
		if p == v {
			t.Error("the ring still holds what was popped")
		}
	}
}
