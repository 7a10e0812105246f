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
		oneLine("one\ntwo\n"):           "one; two",

		pingResult{Peer: "p", Size: 64, counts: counts{Sent: 20, Lost: 9, Waiting: 11}}.String(): "20 requests of 64 bytes to p: 0 answered, " +
			"9 lost (45 %), 11 not yet answered\nanswers: 0 late, 0 reordered, 0 duplicated",
		benchResult{Elapsed: time.Second, Lost: 64, RoundTrips: &roundTrips{}}.line(): "1.0 s: sent 0/s, arrived 0/s, 0 kbit/s, lost 64",
		relayResult{Sessions: 1, Opened: 3}.String():                                  "sessions 1 of 3 opened, to server 0, to clients 0, failed 0, refused 0, lost 0",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
