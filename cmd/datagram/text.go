package main

import (
	"fmt"
	"time"
)

// perSecond formats a rate with three significant digits.
func perSecond(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.3gM/s", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.3gk/s", n/1e3)
	}
	return fmt.Sprintf("%.0f/s", n)
}

// bitRate formats a rate of bytes in bits, as networks do.
func bitRate(bytesPerSecond float64) string {
	switch n := bytesPerSecond * 8; {
	case n >= 1e9:
		return fmt.Sprintf("%.3g Gbit/s", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.3g Mbit/s", n/1e6)
	default:
		return fmt.Sprintf("%.3g kbit/s", n/1e3)
	}
}

// brief formats a duration with three significant digits.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.3g ms", d.Seconds()*1e3)
	case d >= time.Microsecond:
		return fmt.Sprintf("%.3g µs", d.Seconds()*1e6)
	}
	return fmt.Sprintf("%d ns", d)
}

// percent formats a part of a whole.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*float64(part)/float64(whole))
}

// plural returns a number with the noun that it counts.
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}

// quotient returns a/b, and 0 if there is nothing to divide.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// A meter turns a counter into a rate, that of about the last second.
type meter struct{ samples []sample }

func newMeter() *meter { return &meter{samples: []sample{{at: time.Now()}}} }

type sample struct {
	at time.Time
	n  uint64
}

// rate takes the counter's value and returns its increase per second.
func (m *meter) rate(n uint64) float64 {
	now := time.Now()
	m.samples = append(m.samples, sample{now, n})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= time.Second {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	return quotient(float64(n-first.n), now.Sub(first.at).Seconds())
}
