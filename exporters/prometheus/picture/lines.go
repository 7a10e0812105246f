package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts"
)

// A line is a series, with a value for each step of the view.
type line struct {
	name   string
	values []float64
}

// linesOf returns the lines of a panel, and whether they have gaps.
func linesOf(p panel, v *view) (lines []line, gaps bool, err error) {
	for _, t := range p.Targets {
		matrix, err := v.query(t.Expr)
		if err != nil {
			return nil, false, err
		}
		if len(matrix) == 0 {
			return nil, false, fmt.Errorf("%s: no series", t.Expr)
		}
		for _, s := range matrix {
			name, err := t.legend(s.Metric)
			if err != nil {
				return nil, false, err
			}
			l := line{name, slices.Repeat([]float64{charts.GetNullValue()}, v.steps())}
			for _, point := range s.Floats {
				if !math.IsNaN(point.F) && !math.IsInf(point.F, 0) {
					l.values[v.index(point.T)] = point.F
				}
			}
			gaps = gaps || slices.Contains(l.values, charts.GetNullValue())
			lines = append(lines, l)
		}
	}
	return lines, gaps, nil
}

// highest returns how high lines reach.
func highest(lines []line) float64 {
	top := 0.0
	for _, l := range lines {
		for _, value := range l.values {
			if value != charts.GetNullValue() {
				top = max(top, value)
			}
		}
	}
	return top
}

func (v *view) steps() int             { return int(v.end.Sub(v.start)/v.step) + 1 }
func (v *view) index(millis int64) int { return int(time.UnixMilli(millis).Sub(v.start) / v.step) }

// times returns the time of each step since the first.
func (v *view) times() []string {
	times := make([]string, v.steps())
	for i := range times {
		t := time.Duration(i) * v.step
		times[i] = fmt.Sprintf("%d:%02d", int(t.Minutes()), int(t.Seconds())%60)
	}
	return times
}
