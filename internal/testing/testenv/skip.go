// Package testenv deals with the machine that tests run on: what it lacks, and what on it makes
// tests fail.
package testenv

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// skipped counts the skipped tests by reason.
var (
	mu      sync.Mutex
	skipped = make(map[string]int)
)

// Skip skips a test that needs something a developer's machine may lack, such as a privilege or a
// program. The first line of the reason names it. If DATAGRAM_CI is 1, no test may be skipped, and
// Skip fails it.
func Skip(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("DATAGRAM_CI") == "1" {
		tb.Fatal("DATAGRAM_CI forbids skipping: " + reason)
	}
	mu.Lock()
	skipped[reason]++
	mu.Unlock()
	tb.Skip(reason)
}

// Tests are the tests of a package, for use in its TestMain.
type Tests struct{ M interface{ Run() int } }

// Run runs the tests. Before them it prints warnings about what may make them fail, and after them
// how many were skipped by [Skip], and why. go test shows that output if the tests fail, with -v,
// or if it was given no package.
func (t Tests) Run() int {
	for _, warning := range Warnings() {
		fmt.Fprintln(os.Stderr, "warning:", warning)
	}
	code := t.M.Run()
	if summary := Summary(); summary != "" {
		fmt.Println(summary)
	}
	return code
}

// Summary returns one line with the number of skipped tests and the reasons, or an empty string if
// there are none.
func Summary() string {
	mu.Lock()
	defer mu.Unlock()
	var reasons []string
	all := 0
	for reason, n := range skipped {
		all += n
		line, _, _ := strings.Cut(reason, "\n")
		reasons = append(reasons, fmt.Sprintf("%s (%d)", line, n))
	}
	if all == 0 {
		return ""
	}
	slices.Sort(reasons)
	return fmt.Sprintf("skipped %d tests: %s", all, strings.Join(reasons, ", "))
}
