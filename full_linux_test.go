package datagram_test

import (
	"strconv"
	"testing"
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
			if err := a.Flush(t.Context()); err != nil { // one at a time: callers send by themselves from then on
				t.Fatal(err)
			}
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
