package systemtest_test

import (
	"net/netip"
	"runtime"
	"testing"
	"unsafe"

	"example.com/datagram"
	"example.com/datagram/internal/buffer"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
)

// What a stranger can make a receiver hold while its reader is slow, in bytes. SECURITY.md states these figures.
const (
	// slots is how many messages are taken from the system together, each into a chunk of its own.
	slots = 32
	// channel is what the channel holds by default, in datagrams.
	channel = 16
	// anyBound is the most there can be: a chunk for each message that waits, and one of copies.
	anyBound = (slots + channel + 1) * buffer.Size
	// smallBound is for datagrams of a few bytes, which are copied together: chunks of 512 bytes.
	smallBound = (slots + channel) * (512 + int(unsafe.Sizeof(datagram.Datagram{})))
	// allowance is for what is not the receiver's: the runtime's own, and what the test counts with.
	allowance = 1 << 20
)

// TestHostileSenders sends from many addresses to a reader that is slow, and from time to time looks at what the
// receiver holds. The reader releases nothing.
func TestHostileSenders(t *testing.T) {
	for _, test := range []struct {
		name          string
		sources, size int
		bound         int
	}{
		{"one byte each", 100_000, 1, smallBound},
		{"small", 20_000, buffer.Size / 8, anyBound},
		{"largest", 2000, 65507, anyBound},
	} {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() {
				test.sources /= 10
			}
			before := heap()
			victim := conntest.Loopback(t)
			in := victim.Recv()
			// All of 127.0.0.0/8 is this host's, to send from too.
			attacker := conntest.Listen(t, "udp4", "0.0.0.0:0")
			d := datagram.To(victim.LocalAddr(), make([]byte, test.size))
			source := 0
			send := func() {
				source++
				d.Meta.Local = netip.AddrFrom4([4]byte{127, 1 + byte(source>>16), byte(source >> 8), byte(source)})
				conntest.TrySend(t, attacker, d)
			}
			seen := make(map[netip.Addr]bool)
			held, most := 0, 0
			for i := range 100 {
				for range test.sources / 100 {
					send()
				}
				got := await.Value(t, "a datagram", in) // the reader is slow
				if len(got.Payload) != test.size || seen[got.Addr.Addr()] {
					t.Fatalf("%d bytes from %v, which was seen before: %v", len(got.Payload), got.Addr, seen[got.Addr.Addr()])
				}
				seen[got.Addr.Addr()] = true
				if i%10 == 9 {
					await.Until(t, "the channel is full", func() bool { send(); return len(in) == cap(in) })
					held = max(held, int(victim.Stats().Held))
					// The receiver may not have come to the datagram that it cannot deliver yet.
					inUse := 0
					await.Until(t, "the receiver holds no more than its bound", func() bool {
						inUse = heap() - before
						return inUse <= test.bound+allowance
					})
					most = max(most, inUse)
				}
			}
			stats := victim.Stats()
			t.Logf("%d datagrams, %d dropped by the system: %d were held, in %d KiB at most; the bound is %d KiB",
				source, stats.KernelDrops, held, most>>10, test.bound>>10)
			if held > slots+channel {
				t.Errorf("%d datagrams were held, want at most %d", held, slots+channel)
			}
		})
	}
}

// heap returns the bytes in use, when pools are empty.
func heap() int {
	runtime.GC()
	runtime.GC() // pools are emptied in two steps
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
