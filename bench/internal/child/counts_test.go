package child

import (
	"net/netip"
	"testing"
)

// carry moves n datagrams from a source to a sink through a channel that drops some.
func carry(t *testing.T, window, n int, drop func(int) bool) (*Counts, int) {
	t.Helper()
	a := &Args{Size: 64, Window: window, Dests: 1, Receivers: 1}
	c := NewCounts()
	src := c.NewSource(a, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")})
	sink := c.NewSink(a)
	wire := make(chan []byte, n)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer sink.Flush()
		for p := range wire {
			sink.Add(p)
		}
	}()
	most := 0
	for i := range n {
		p := make([]byte, a.Size)
		if _, ok := src.Next(p); !ok {
			t.Fatal("the source ended by itself")
		}
		if !drop(i) {
			wire <- p
		}
		most = max(most, i+1-int(c.Received()+src.lost)) // on a busy machine the gate gives up some
	}
	c.Stop()
	for range 1000 { // Next checks for a stop only now and then
		if _, ok := src.Next(make([]byte, a.Size)); !ok {
			src.Publish()
			close(wire)
			<-done
			return c, most
		}
	}
	t.Fatal("the source did not end")
	return nil, 0
}

func TestGateBoundsWhatIsInFlight(t *testing.T) {
	const window = 256
	c, most := carry(t, window, 50_000, func(int) bool { return false })
	if most > window+1 {
		t.Errorf("%d in flight, want at most %d", most, window)
	}
	if got, want := c.Received(), uint64(50_000); got != want || c.bad.Load() != 0 {
		t.Errorf("%d received, %d bad, want %d and none", got, c.bad.Load(), want)
	}
}

func TestGateGoesOnAfterLosses(t *testing.T) {
	c, _ := carry(t, 256, 5000, func(i int) bool { return i%2 == 0 })
	if got := c.Received(); got != 2500 {
		t.Errorf("%d received, want 2500", got)
	}
}

func TestSinkSeesWrongLengths(t *testing.T) {
	c := NewCounts()
	s := c.NewSink(&Args{Size: 64})
	s.Add(make([]byte, 63))
	s.Add(make([]byte, 64))
	s.Flush()
	if c.Received() != 2 || c.bad.Load() != 1 {
		t.Errorf("%d received, %d bad, want 2 and 1", c.Received(), c.bad.Load())
	}
}
