package child

import (
	"runtime"
	"testing"
)

func TestLongestStop(t *testing.T) {
	before := stops()
	if got := longest(before, before); got != 0 {
		t.Errorf("%v without a collection", got)
	}
	runtime.GC()
	if got := longest(before, stops()); got <= 0 {
		t.Errorf("%v after a collection", got)
	}
}
