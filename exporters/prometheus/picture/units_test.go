package main

import "testing"

func TestAxis(t *testing.T) {
	for _, test := range []struct {
		top, interval float64
		intervals     int
	}{
		{0, 1, 1},
		{0.3, 0.1, 3},
		{1, 0.2, 5},
		{47, 10, 5},
		{51, 20, 3},
		{11_700, 5000, 3},
	} {
		if interval, intervals := axis(test.top); interval != test.interval || intervals != test.intervals {
			t.Errorf("axis(%v) is %d times %v, want %d times %v", test.top, intervals, interval, test.intervals, test.interval)
		}
	}
}

func TestFormatter(t *testing.T) {
	for _, test := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"short", 0, "0"},
		{"short", 250, "250"},
		{"pps", 15_000, "15 kp/s"},
		{"Bps", 3_200_000, "3.2 MB/s"},
		{"cps", 2.5, "2.5 c/s"},
	} {
		if got := formatter(test.unit)(test.value); got != test.want {
			t.Errorf("%v of %s is %q, want %q", test.value, test.unit, got, test.want)
		}
	}
}
