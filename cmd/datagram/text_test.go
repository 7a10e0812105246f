package main

import (
	"testing"
	"time"
)

func TestText(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		perSecond(0):                    "0/s",
		perSecond(9999):                 "9999/s",
		perSecond(12345):                "12.3k/s",
		perSecond(1.5e6):                "1.5M/s",
		bitRate(125):                    "1 kbit/s",
		bitRate(1.25e6):                 "10 Mbit/s",
		bitRate(1.25e9):                 "10 Gbit/s",
		brief(999):                      "999 ns",
		brief(1234):                     "1.23 µs",
		brief(12345 * time.Microsecond): "12.3 ms",
		brief(90 * time.Second):         "90 s",
		percent(0, 0):                   "0 %",
		percent(1, 3):                   "33.3 %",
		plural(1, "byte"):               "1 byte",
		plural(2, "byte"):               "2 bytes",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
