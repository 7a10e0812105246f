package recent

import "testing"

func TestMap(t *testing.T) {
	var m Map[int, int]
	if _, ok := m.Get(0); ok {
		t.Error("an empty map has a value")
	}
	const many = 10 * N
	for i := range many {
		m.Set(i, -i)
		m.Set(i, i)
		for _, key := range []int{i, max(0, i-N+1)} {
			if value, ok := m.Get(key); !ok || value != key {
				t.Fatalf("after %d keys, %d has %d, %v", i+1, key, value, ok)
			}
		}
		if n := len(m.young) + len(m.old); n > 2*N {
			t.Fatalf("after %d keys, the map has %d", i+1, n)
		}
	}
	if _, ok := m.Get(many - 1 - 2*N); ok {
		t.Error("the map remembers for ever")
	}
}

// What is set again and again stays, however many others come and go.
func TestSetAgain(t *testing.T) {
	var m Map[int, string]
	for i := range 10 * N {
		m.Set(-1, "kept")
		m.Set(i, "other")
		if value, _ := m.Get(-1); value != "kept" {
			t.Fatalf("after %d others: %q", i, value)
		}
	}
}
