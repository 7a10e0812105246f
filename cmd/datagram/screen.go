package main

import (
	"fmt"
	"io"
	"unicode/utf8"
)

// A screen is the block of lines at the bottom of a terminal. Everything else is printed above it.
type screen struct {
	lines []string
	width int
	drawn int // lines on the terminal
}

// Control sequences of ECMA-48.
const (
	cursorUp   = "\x1b[%dA"
	eraseBelow = "\r\x1b[J"
)

// erase removes the block from the terminal.
func (s *screen) erase(w io.Writer) {
	if s.drawn > 0 {
		fmt.Fprintf(w, cursorUp+eraseBelow, s.drawn)
		s.drawn = 0
	}
}

// draw puts the block back. Lines are cut to the width of the terminal, since one that wraps is two.
func (s *screen) draw(w io.Writer) {
	if s.drawn > 0 {
		return
	}
	for _, line := range s.lines {
		if s.width > 0 && utf8.RuneCountInString(line) > s.width {
			line = string([]rune(line)[:s.width])
		}
		fmt.Fprintln(w, line)
	}
	s.drawn = len(s.lines)
}
