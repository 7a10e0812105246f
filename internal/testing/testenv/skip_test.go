package testenv_test

import (
	"testing"

	"example.com/datagram/internal/testing/testenv"
)

func TestSkip(t *testing.T) {
	t.Setenv("DATAGRAM_CI", "")
	for range 2 {
		t.Run("", func(t *testing.T) { testenv.Skip(t, "a program is missing") })
	}
	t.Run("", func(t *testing.T) { testenv.Skip(t, "a right is missing\nand more") })
	const want = "skipped 3 tests: a program is missing (2), a right is missing (1)"
	if got := testenv.Summary(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
