package mark

import (
	"testing"
	"time"
)

func TestBucketsCoverEveryValue(t *testing.T) {
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 1000, 12345, 1 << 20, 1<<40 + 7} {
		i := bucket(v)
		if v > upper(i) || (i > 0 && v <= upper(i-1)) {
			t.Errorf("%d is in bucket %d, which ends at %d", v, i, upper(i))
		}
		if float64(upper(i)-v) > 0.016*float64(v) {
			t.Errorf("%d reads as %d", v, upper(i))
		}
	}
}

func TestQuantile(t *testing.T) {
	var h Histogram
	for i := range 1000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	p := h.Pairs()
	for q, want := range map[float64]time.Duration{0.5: 500, 0.99: 990, 0.999: 999} {
		want *= time.Microsecond
		if got := p.Quantile(q); got < want || got > want+want/50 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if got := (Pairs{}).Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
}
