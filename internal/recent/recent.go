// Package recent remembers what was seen last.
package recent

// A Map remembers values for the keys that were set last: at least the last N, at most twice as
// many. The zero Map is empty.
type Map[K comparable, V any] struct {
	young, old map[K]V
}

// N is how many keys a map remembers at least.
const N = 2048

// Set sets the value for a key.
func (m *Map[K, V]) Set(key K, value V) {
	if _, ok := m.young[key]; !ok && len(m.young) == N || m.young == nil {
		m.young, m.old = make(map[K]V), m.young
	}
	m.young[key] = value
}

// Get returns the value that was set last for a key.
func (m *Map[K, V]) Get(key K) (V, bool) {
	if value, ok := m.young[key]; ok {
		return value, true
	}
	value, ok := m.old[key]
	return value, ok
}
