// Package deque implements a double-ended queue.
package deque

// A Deque is a double-ended queue. It is a ring that grows as needed, and keeps
// no memory while it is empty. The zero Deque is empty.
type Deque[T any] struct {
	ring  []T // its length is a power of two
	first int
	n     int
}

// minRing is the length of the first ring.
const minRing = 8

// Len returns the number of elements.
func (q *Deque[T]) Len() int { return q.n }

// At returns a pointer to the element i places behind the front. It is valid
// until the Deque changes.
func (q *Deque[T]) At(i int) *T { return &q.ring[(q.first+i)&(len(q.ring)-1)] }

// PushBack adds v at the back.
func (q *Deque[T]) PushBack(v T) {
	q.grow()
	q.n++
	*q.At(q.n - 1) = v
}

// PushFront adds v at the front.
func (q *Deque[T]) PushFront(v T) {
	q.grow()
	q.first = (q.first - 1) & (len(q.ring) - 1)
	q.n++
	*q.At(0) = v
}

// PopFront removes the element at the front and stores it in v. It reports
// whether there was one.
func (q *Deque[T]) PopFront(v *T) bool {
	if q.n == 0 {
		return false
	}
	first := q.At(0)
	*v = *first
	*first = *new(T)
	q.first = (q.first + 1) & (len(q.ring) - 1)
	if q.n--; q.n == 0 {
		*q = Deque[T]{}
	}
	return true
}

// grow makes room for one more element.
func (q *Deque[T]) grow() {
	if q.n < len(q.ring) {
		return
	}
	ring := make([]T, max(2*len(q.ring), minRing))
	for i := range q.n {
		ring[i] = *q.At(i)
	}
	q.ring, q.first = ring, 0
}
