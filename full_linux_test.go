package datagram_test

import (
	"strconv"
	"testing"
	"time"
)

// A caller who finds nobody sending sends by himself, until there is no room: what does not fit stays
// queued, in its place.
func TestCallerFindsNoRoom(t *testing.T) {
	a, b := unixEnds(t)
	const count = 1000 // the peer's queue holds 11 by default (unix(7), max_dgram_qlen)
	for i := range count {
		if err := a.Send(t.Context(), unnamed(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		if i < 8 {
			if err := a.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if a.SendQueueCount() == 0 {
			time.Sleep(10 * time.Microsecond) // one at a time, with pauses: callers send by themselves
		}
	}
	if a.SendQueueCount() == 0 {
		t.Error("everything found room")
	}
	for i := range count {
		awaitPayload(t, b, strconv.Itoa(i)).Release()
	}
	if err := a.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	checkLedger(t, a.Stats())
}
