package datagramtest_test

import (
	"fmt"
	"slices"
	"testing"
)

// shrink removes from a program whatever it can so that it still fails: rounds, in ever smaller pieces, then
// single calls.
func shrink(p program, fails func(program) bool) program {
	for size := len(p) / 2; size > 0; size /= 2 {
		for start := 0; start+size <= len(p); {
			if shorter := slices.Delete(slices.Clone(p), start, start+size); fails(shorter) {
				p = shorter
			} else {
				start += size
			}
		}
	}
	for i := range p {
		for j := 0; j < len(p[i]) && len(p[i]) > 1; {
			shorter := slices.Clone(p)
			if shorter[i] = slices.Delete(slices.Clone(p[i]), j, j+1); fails(shorter) {
				p = shorter
			} else {
				j++
			}
		}
	}
	return p
}

func TestShrink(t *testing.T) {
	p := randomProgram(1)
	p[17] = []call{{"read", 1}, {"needle", 1}, {"read", 2}}
	p[31] = []call{{"needle", 2}}
	got := shrink(p, func(p program) bool {
		var needles []call
		for _, round := range p {
			for _, c := range round {
				if c.name == "needle" {
					needles = append(needles, c)
				}
			}
		}
		return slices.Equal(needles, []call{{"needle", 1}, {"needle", 2}})
	})
	if want := (program{{{"needle", 1}}, {{"needle", 2}}}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("shrunk to\n%vwant\n%v", got, want)
	}
}
