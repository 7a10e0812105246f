package main

import (
	"math"
	"strconv"
)

// axis divides the values up to top into at most five intervals of 1, 2 or 5 times a power of ten.
func axis(top float64) (interval float64, intervals int) {
	if top == 0 {
		return 1, 1
	}
	power := math.Pow(10, math.Floor(math.Log10(top)))
	for _, interval := range []float64{power / 5, power / 2, power, 2 * power} {
		if intervals := math.Ceil(top / interval); intervals <= 5 {
			return interval, int(intervals)
		}
	}
	return 2 * power, 5
}

// suffixes are those of Grafana's units.
var suffixes = map[string]string{"short": "", "pps": "p/s", "Bps": "B/s", "ops": "ops/s", "cps": "c/s"}

// formatter returns what writes values of a unit as Grafana does: 1.5 kp/s.
func formatter(unit string) func(float64) string {
	return func(f float64) string {
		prefix := ""
		for _, p := range []string{"k", "M", "G"} {
			if f < 1000 {
				break
			}
			f, prefix = f/1000, p
		}
		text := strconv.FormatFloat(f, 'g', 3, 64)
		if suffix := prefix + suffixes[unit]; suffix != "" {
			text += " " + suffix
		}
		return text
	}
}
