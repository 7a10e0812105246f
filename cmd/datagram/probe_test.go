package main

import "testing"

func FuzzProbe(f *testing.F) {
	valid := make([]byte, probeSize)
	probe{probeQuestion, 1, 2}.put(valid)
	f.Add(valid)
	f.Add(valid[1:])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseProbe(b)
		if !ok {
			return
		}
		again := make([]byte, probeSize)
		p.put(again)
		if string(again) != string(b[:probeSize]) {
			t.Errorf("%x became %x", b, again)
		}
	})
}

// Strangers choose flows, so only so many are remembered.
func TestFlowCounter(t *testing.T) {
	t.Parallel()
	var flows flowCounter
	for flow := range uint64(maxFlows + 10) {
		flows.add(flow)
		flows.add(flow)
	}
	if len(flows.counts) != maxFlows || len(flows.order) != maxFlows {
		t.Errorf("%d flows, %d in order", len(flows.counts), len(flows.order))
	}
	if old, recent := flows.count(0), flows.count(maxFlows+9); old != 0 || recent != 2 {
		t.Errorf("counts %d and %d", old, recent)
	}
}
