package batch

import (
	"math/rand/v2"
	"testing"
)

// allowed says whether the kernel takes a message of these datagrams
// (udp_sendmsg, and UDP_SEGMENT in udp(7)).
func allowed(sizes []int, limit int) bool {
	if len(sizes) == 1 {
		return true
	}
	if len(sizes) > MaxSegments {
		return false
	}
	total := 0
	for i, n := range sizes {
		total += n
		last := i == len(sizes)-1
		if n == 0 || n > sizes[0] || n < sizes[0] && !last {
			return false
		}
	}
	return total <= limit
}

// check adds datagrams until one is refused: each step must be what the kernel allows.
func check(t *testing.T, sizes []int, limit int) {
	t.Helper()
	var run Run
	total := 0
	for i, n := range sizes {
		taken := run.Add(n, limit)
		if want := allowed(sizes[:i+1], limit); taken != want {
			t.Fatalf("%v: datagram %d of %d bytes taken: %v, want %v", sizes, i, n, taken, want)
		}
		if !taken {
			if run.Count != i || run.Bytes != total {
				t.Fatalf("%v: refusing changed the run: %+v", sizes, run)
			}
			return
		}
		total += n
		if run.Count != i+1 || run.Bytes != total || run.Size != sizes[0] {
			t.Fatalf("%v: after %d datagrams: %+v", sizes, i+1, run)
		}
		if got := Segments(run.Bytes, run.Size); got != run.Count {
			t.Fatalf("%v: splits into %d, not %d", sizes, got, run.Count)
		}
	}
}

func FuzzRun(f *testing.F) {
	f.Add([]byte{10, 10, 10}, uint8(100), true)
	f.Add([]byte{10, 10, 3, 10}, uint8(1), true)
	f.Add([]byte{0, 0}, uint8(1), false)
	f.Add([]byte{10, 0}, uint8(1), false)
	f.Add(make([]byte, 100), uint8(7), true)
	f.Fuzz(func(t *testing.T, small []byte, scale uint8, v4 bool) {
		limit := MaxPayload6
		if v4 {
			limit = MaxPayload4
		}
		sizes := make([]int, len(small))
		for i, n := range small {
			sizes[i] = int(n) * int(scale)
		}
		check(t, sizes, limit)
	})
}

func TestRun(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		size := 1 + random.IntN(3000)
		sizes := make([]int, 1+random.IntN(2*MaxSegments))
		for i := range sizes {
			sizes[i] = size
			if random.IntN(40) == 0 {
				sizes[i] = random.IntN(2 * size)
			}
		}
		check(t, sizes, MaxPayload4)
		check(t, sizes, MaxPayload6)
	}
	// A single datagram may be of any size: the kernel says what it thinks of it.
	check(t, []int{1 << 20, 1}, MaxPayload4)
	check(t, []int{MaxPayload4, 1}, MaxPayload4)
	check(t, []int{MaxPayload4 - 1, 1, 1}, MaxPayload4)
}

func TestSegments(t *testing.T) {
	for _, test := range []struct{ n, size, want int }{
		{0, 0, 1},
		{0, 100, 1},
		{100, 0, 1},
		{100, -1, 1},
		{100, 100, 1},
		{100, 99, 2},
		{350, 100, 4},
		{400, 100, 4},
	} {
		if got := Segments(test.n, test.size); got != test.want {
			t.Errorf("%d bytes in segments of %d: %d, want %d", test.n, test.size, got, test.want)
		}
	}
}
