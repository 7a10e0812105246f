package systemtest_test

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"example.com/datagram"
	"example.com/datagram/datagramtest"
	"example.com/datagram/internal/testing/await"
	"example.com/datagram/internal/testing/conntest"
	"example.com/datagram/internal/testing/testenv"
)

// What sends that fail may hold while the function that is to hear of it is slow, in bytes. SECURITY.md and SendFunc
// state these figures.
const (
	// errorsBound is for those without a completion function, however many fail.
	errorsBound = 256 << 10
	// completionBound is for each with one.
	completionBound = 128
)

// TestSlowHandlers has many sends fail, each answered by itself, while the function that hears of the first has not
// returned: what waits to be told is small, and without completion functions bounded.
func TestSlowHandlers(t *testing.T) {
	const failures = 4000
	for name, listen := range map[string]func(t *testing.T, opts ...datagram.Option) *datagram.Conn{
		"plain": func(t *testing.T, opts ...datagram.Option) *datagram.Conn {
			return conntest.Loopback(t, append(opts, datagram.WithOffload(datagram.OffloadNone))...)
		},
		"all offloads": func(t *testing.T, opts ...datagram.Option) *datagram.Conn {
			testenv.AllOffloads(t)
			return conntest.Loopback(t, opts...)
		},
		"simulated": func(t *testing.T, opts ...datagram.Option) *datagram.Conn {
			faults := datagramtest.NewFaults(1, datagramtest.Fault{Op: datagramtest.OpSend, Times: 3*failures + 1, Err: syscall.EACCES})
			c, err := datagramtest.NewNetwork(1, datagramtest.Link{}).Listen(background, "udp4", "10.0.0.1:7", append(opts, faults.Option())...)
			if err != nil {
				t.Fatal(err)
			}
			conntest.CloseAtEnd(t, c)
			return c
		},
	} {
		for _, completions := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", completion functions: ", completions), func(t *testing.T) {
				first, release := make(chan struct{}), make(chan struct{})
				defer close(release)
				var once sync.Once
				slow := func(err error) {
					conntest.ExpectError(t, "what failed", err, syscall.EACCES)
					once.Do(func() {
						close(first)
						<-release
					})
				}
				c := listen(t, datagram.WithErrorHandler(slow))
				bound := errorsBound
				var done func(error)
				if completions {
					bound, done = failures*completionBound, slow
				}
				d := datagram.To(netip.MustParseAddrPort("127.255.255.255:9"), make([]byte, 1000)) // without WithBroadcast
				fail := func() {
					if err := c.SendFunc(background, d, done); err != nil {
						t.Fatal(err)
					}
					if err := c.Flush(background); err != nil {
						t.Fatal(err)
					}
				}
				fail()
				await.Signal(t, "the first to be told", first)
				failed := uint64(1)
				// The heap is the whole program's, and other tests may have left something to it: what waits for the
				// handler comes again in each try.
				for grown, tries := math.MaxInt, 0; grown > bound+allowance/4; tries++ {
					if tries == 3 {
						t.Fatalf("%d failures hold %d KiB, want at most %d", failures, grown>>10, bound>>10)
					}
					before := heap()
					for range failures {
						fail()
					}
					grown = heap() - before
					failed += failures
				}
				if s := c.Stats(); s.SendErrors != failed || s.Queued != 0 {
					t.Errorf("%d failed, %d queued", s.SendErrors, s.Queued)
				}
			})
		}
	}
}
